/* Names of pod interfaces: vectors made with sha1sum(1), as in
 *   printf '%s' default.nginx-0 | sha1sum | cut -c1-11
 */
#include "config.h"

#include <string.h>

#include "felix/plumb.h"
#include "test/unit/unit.h"

static const struct {
	const char *ns, *pod, *container, *ifname, *want;
} names[] = {
	{ "default", "nginx-0", "c1", "eth0", "calic048fd9a750" },
	{ "kube-system", "coredns-5d78c9869d-abcde", "f00", "eth0", "cali4d5f75c480c" },
	{ "", "", "0123456789abcdef", "eth0", "caliac9ae96ed11" },
	{ "default", "nginx-0", "c1", "net1", "cali930adddc2bb" },
	{ "", "job", "c2", "eth0", "cali4b27bdbbafe" },
};

START_TEST(names_are_calicos)
{
	char got[PLUMB_IFNAME];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		plumb_host_ifname(names[i].ns, names[i].pod, names[i].container, names[i].ifname,
				  got);
		ck_assert_str_eq(got, names[i].want);
	}
}
END_TEST

UNIT_MAIN("plumb", names_are_calicos)
