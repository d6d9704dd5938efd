/* The pure parts of the Kubernetes store's HTTP client: pauses, paths, choice of a server, words
 * for what went wrong. test/api/test_http.py drives the whole. */
#include <errno.h>
#include <string.h>

#include "store/backoff.h"
#include "store/kube_http_impl.h"
#include "test/unit/unit.h"

START_TEST(pauses_double_to_their_limit)
{
	/* At the top of the jitter the pause is its ceiling: 0.8 s x 2, at most 30 s. */
	static const uint64_t ceilings[] = { 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000 };
	struct backoff b = { 0 };
	uint64_t now = 1000000;

	for (size_t i = 0; i < sizeof(ceilings) / sizeof(ceilings[0]); i++) {
		uint64_t pause = backoff_next(&b, now, UINT32_MAX);
		ck_assert_uint_eq(pause, ceilings[i]);
		now += pause + 30000;
	}
}
END_TEST

START_TEST(pauses_have_full_jitter)
{
	struct backoff b = { 0 };

	ck_assert_uint_eq(backoff_next(&b, 5, 0), 0);
	ck_assert_uint_eq(backoff_next(&b, 5, UINT32_MAX / 2 + 1), 800);
	ck_assert_uint_eq(backoff_next(&b, 5, UINT32_MAX / 4 + 1), 800);
}
END_TEST

START_TEST(pauses_begin_anew_after_two_minutes)
{
	struct backoff b = { 0 };

	for (int i = 0; i < 10; i++)
		backoff_next(&b, 1000, UINT32_MAX);
	ck_assert_uint_eq(backoff_next(&b, 1000 + 119999, UINT32_MAX), 30000);
	ck_assert_uint_eq(backoff_next(&b, 1000 + 119999 + 120000, UINT32_MAX), 800);
}
END_TEST

START_TEST(paths_are_encoded)
{
	struct kube_path p;

	kube_path_init(&p, "/api/v1/namespaces");
	kube_path_name(&p, "a/b c%");
	kube_path_raw(&p, "/pods");
	kube_path_arg(&p, "fieldSelector", "spec.nodeName=n1,x!=\xc3\xa4&");
	kube_path_arg_u64(&p, "limit", 500);
	kube_path_arg(&p, "continue", "");
	ck_assert(!p.full);
	ck_assert_str_eq(p.text,
			 "/api/v1/namespaces/a%2Fb%20c%25/pods?fieldSelector=spec.nodeName%3Dn1%2C"
			 "x%21%3D%C3%A4%26&limit=500&continue=");
	ck_assert_uint_eq(p.len, strlen(p.text));
	kube_path_init(&p, "/x?watch=true");
	kube_path_arg(&p, "a", "AZaz09-._~");
	ck_assert_str_eq(p.text, "/x?watch=true&a=AZaz09-._~");
}
END_TEST

START_TEST(paths_that_must_not_be_used)
{
	static const char *const names[] = { "", ".", ".." };
	static char raw[KUBE_PATH_MAX];
	struct kube_path p;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		kube_path_init(&p, "/api/v1/nodes");
		kube_path_name(&p, names[i]);
		ck_assert_msg(p.full, "name '%s'", names[i]);
	}
	memset(raw, 'a', sizeof(raw) - 2);
	kube_path_init(&p, raw);
	ck_assert(!p.full);
	kube_path_raw(&p, "b");
	ck_assert(!p.full && p.len == KUBE_PATH_MAX - 1 && p.text[p.len] == 0);
	kube_path_raw(&p, "c");
	ck_assert(p.full && strlen(p.text) == KUBE_PATH_MAX - 1);
	/* Nothing comes after what did not fit. */
	kube_path_init(&p, raw);
	kube_path_arg(&p, "key", "value");
	kube_path_raw(&p, "x");
	ck_assert(p.full);
}
END_TEST

static const char *const urls[] = { "https://a:6443", "https://10.0.0.2",
				    "https://[fd00::3]:1/k8s/c" };

static struct kube_servers three(unsigned first)
{
	struct kube_servers s = { .first = first, .probe_ms = 1000 };
	ck_assert(servers_set(&s, 3, urls));
	return s;
}

START_TEST(servers_are_read)
{
	static const struct {
		const char *host, *port, *folder;
	} want[] = { { "a", "6443", "" },
		     { "10.0.0.2", "443", "" },
		     { "[fd00::3]", "1", "/k8s/c" } };
	struct kube_servers s = three(0);

	for (unsigned i = 0; i < 3; i++) {
		ck_assert_str_eq(s.list[i]->host, want[i].host);
		ck_assert_str_eq(s.list[i]->port, want[i].port);
		ck_assert_str_eq(s.list[i]->folder, want[i].folder);
	}
	servers_clear(&s);
	static const char *const bare[] = { "https://[fd00::3]" };
	ck_assert(servers_set(&s, 1, bare));
	ck_assert_str_eq(s.list[0]->host, "[fd00::3]");
	ck_assert_str_eq(s.list[0]->port, "443");
	servers_clear(&s);
}
END_TEST

START_TEST(servers_in_their_order)
{
	struct kube_servers s = three(4);

	ck_assert_int_eq(servers_pick(&s, 0, 1000), 1);
	ck_assert_int_eq(servers_pick(&s, 1U << 1, 1000), 2);
	ck_assert_int_eq(servers_pick(&s, 1U << 1 | 1U << 2, 1000), 0);
	ck_assert_int_eq(servers_pick(&s, 7, 1000), -1);
	server_failed(&s, s.list[1], "gone", 1000, 0);
	ck_assert_int_eq(servers_pick(&s, 0, 1000), 2);
	/* Nothing better is left: the dead one is tried all the same. */
	ck_assert_int_eq(servers_pick(&s, 1U << 0 | 1U << 2, 1000), 1);
	server_ok(s.list[1], 5);
	ck_assert_int_eq(servers_pick(&s, 0, 1000), 1);
	servers_clear(&s);
}
END_TEST

START_TEST(servers_that_hang_are_passed_over)
{
	struct kube_servers s = three(0);

	server_connect_begin(s.list[0], 1000);
	ck_assert_int_eq(servers_pick(&s, 0, 1900), 0);
	ck_assert_int_eq(servers_pick(&s, 0, 2100), 1);
	/* Hanging is better than dead. */
	ck_assert_int_eq(servers_pick(&s, 2 | 4, 2100), 0);
	server_failed(&s, s.list[1], "gone", 2100, 0);
	server_failed(&s, s.list[2], "gone", 2100, 0);
	ck_assert_int_eq(servers_pick(&s, 0, 2100), 0);
	/* Another connection came about: it lives. */
	server_connect_begin(s.list[0], 2100);
	server_connect_end(s.list[0], true, 2200);
	server_ok(s.list[1], 1);
	ck_assert_int_eq(servers_pick(&s, 0, 2300), 0);
	servers_clear(&s);
}
END_TEST

START_TEST(dead_servers_are_probed_with_growing_pauses)
{
	struct kube_servers s = three(0);
	uint64_t now = 1000, wait, last = 0;

	ck_assert(!servers_probe(&s, now, &wait) && wait == UINT64_MAX);
	for (int i = 0; i < 10; i++) {
		server_failed(&s, s.list[0], "gone", now, UINT32_MAX);
		/* Others that fail with it change nothing. */
		server_failed(&s, s.list[0], "gone", now, UINT32_MAX);
		s.list[0]->probing = false;
		ck_assert(!servers_probe(&s, now, &wait));
		ck_assert_uint_ge(wait, last);
		ck_assert_uint_le(wait, 64001);
		ck_assert(i > 0 || wait <= 1001);
		now += wait;
		last = wait;
		ck_assert_ptr_eq(servers_probe(&s, now, &wait), s.list[0]);
		s.list[0]->probing = true;
		ck_assert(!servers_probe(&s, now, &wait) && wait == UINT64_MAX);
	}
	ck_assert_uint_gt(last, 60000);
	s.list[0]->probing = false;
	server_ok(s.list[0], 1);
	ck_assert(!servers_probe(&s, now, &wait) && wait == UINT64_MAX);
	/* One that flaps is left alone for as long as before; after two calm minutes all is
	 * forgotten. */
	server_failed(&s, s.list[0], "gone", now + 1000, UINT32_MAX);
	ck_assert(!servers_probe(&s, now + 1000, &wait) && wait > 60000);
	server_ok(s.list[0], 1);
	server_failed(&s, s.list[0], "gone", now + 200000, UINT32_MAX);
	ck_assert(!servers_probe(&s, now + 200000, &wait) && wait <= 1001);
	servers_clear(&s);
}
END_TEST

START_TEST(new_lists_keep_what_is_known)
{
	static const char *const next[] = { "https://new", "https://a:6443", "https://a:6443" };
	struct kube_servers s = three(0);
	struct kube_server *a = s.list[0];

	ck_assert(!servers_set(&s, 3, urls));
	ck_assert_ptr_eq(s.list[0], a);
	server_failed(&s, a, "gone", 1000, 0);
	ck_assert(servers_set(&s, 3, next));
	ck_assert_uint_eq(s.n, 2);
	ck_assert_ptr_eq(s.list[1], a);
	ck_assert(!s.list[1]->up && s.list[0]->up);
	ck_assert_int_eq(servers_index(&s, a), 1);
	ck_assert(servers_set(&s, 1, next + 1));
	ck_assert(servers_set(&s, 1, next));
	servers_clear(&s);
}
END_TEST

START_TEST(failures_in_words)
{
	static const struct {
		struct kube_failure f;
		const char *want;
	} rows[] = {
		{ { .code = CURLE_COULDNT_CONNECT, .os_errno = ECONNREFUSED },
		  "connection refused" },
		{ { .code = CURLE_COULDNT_CONNECT, .os_errno = EHOSTUNREACH }, "no route" },
		{ { .code = CURLE_COULDNT_CONNECT, .os_errno = EACCES }, "Permission denied" },
		{ { .code = CURLE_COULDNT_RESOLVE_HOST }, "DNS" },
		{ { .code = CURLE_OPERATION_TIMEDOUT, .connect_timeout_ms = 5000 },
		  "name was not resolved within 5 s" },
		{ { .code = CURLE_OPERATION_TIMEDOUT, .resolved = true, .connect_timeout_ms = 200 },
		  "no connection with TLS within 0.2 s" },
		{ { .code = CURLE_OPERATION_TIMEDOUT, .connected = true, .timeout_ms = 30000 },
		  "no answer within 30 s" },
		{ { .code = CURLE_OPERATION_TIMEDOUT,
		    .connected = true,
		    .answering = true,
		    .timeout_ms = 30000 },
		  "the answer did not end within 30 s" },
		{ { .code = CURLE_PEER_FAILED_VERIFICATION, .verify = 19, .has_ca = true },
		  "not signed by the CA in the kubeconfig" },
		{ { .code = CURLE_PEER_FAILED_VERIFICATION, .verify = 20 },
		  "not signed by a CA of this system" },
		{ { .code = CURLE_PEER_FAILED_VERIFICATION, .verify = 10 }, "expired" },
		{ { .code = CURLE_PEER_FAILED_VERIFICATION, .verify = 9 }, "not valid yet" },
		{ { .code = CURLE_PEER_FAILED_VERIFICATION, .verify = 23, .detail = "revoked" },
		  "cannot be verified: revoked" },
		{ { .code = CURLE_PEER_FAILED_VERIFICATION,
		    .verify = 1,
		    .detail = "SSL: no alternative certificate subject name matches" },
		  "not for this host name" },
		{ { .code = CURLE_PEER_FAILED_VERIFICATION,
		    .detail = "SSL: certificate subject name 'x' does not match",
		    .tls_server_name = "k8s.example" },
		  "not for the name k8s.example" },
		{ { .code = CURLE_SSL_CONNECT_ERROR, .detail = "a wrong version number" },
		  "does not speak TLS" },
		{ { .code = CURLE_SSL_CONNECT_ERROR, .detail = "two\nlines\there" },
		  "handshake failed: two lines here" },
		{ { .code = CURLE_RECV_ERROR, .connected = true }, "lost before an answer came" },
		{ { .code = CURLE_RECV_ERROR,
		    .connected = true,
		    .answering = true,
		    .detail = "SSL_read: Connection timed out, errno 110" },
		  "in the middle of the answer: it is silent" },
		{ { .code = CURLE_RECV_ERROR,
		    .connected = true,
		    .detail = "alert bad certificate" },
		  "before an answer came: alert bad certificate" },
		{ { .code = CURLE_RECV_ERROR, .detail = "CONNECT tunnel failed, response 403" },
		  "CONNECT tunnel failed, response 403" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct kube_failure f = rows[i].f;
		char text[KUBE_ERROR_TEXT];
		f.server = "https://10.0.0.1:6443";
		f.detail = f.detail ? f.detail : "";
		f.tls_server_name = f.tls_server_name ? f.tls_server_name : "";
		kube_failure_text(&f, text, sizeof(text));
		ck_assert_msg(strstr(text, "https://10.0.0.1:6443: ") == text, "row %zu: %s", i,
			      text);
		ck_assert_msg(strstr(text, rows[i].want) != NULL, "row %zu: %s", i, text);
		ck_assert_msg(!strchr(text, '\n'), "row %zu: %s", i, text);
		char small[24];
		kube_failure_text(&f, small, sizeof(small));
		ck_assert(strlen(small) < sizeof(small));
	}
}
END_TEST

START_TEST(answers_in_words)
{
	char text[KUBE_ERROR_TEXT];

	kube_status_text("https://a", "GET", "/api/v1/pods?continue=abc", 403, text, sizeof(text));
	ck_assert(strstr(text, "https://a: GET /api/v1/pods: 403 Forbidden") == text);
	ck_assert(!strstr(text, "abc"));
	kube_status_text("https://a", "GET", "/", 307, text, sizeof(text));
	ck_assert(strstr(text, "redirect"));
	kube_status_text("https://a", "GET", "/", 418, text, sizeof(text));
	ck_assert_str_eq(text, "https://a: GET /: 418");
}
END_TEST

UNIT_MAIN("kube_http", pauses_double_to_their_limit, pauses_have_full_jitter,
	  pauses_begin_anew_after_two_minutes, paths_are_encoded, paths_that_must_not_be_used,
	  servers_are_read, servers_in_their_order, servers_that_hang_are_passed_over,
	  dead_servers_are_probed_with_growing_pauses, new_lists_keep_what_is_known,
	  failures_in_words, answers_in_words)
