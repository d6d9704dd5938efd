#include "config.h"

#include "noded/supervise.h"

#include <stdio.h>
#include <sys/wait.h>

void sup_init(struct sup *s)
{
	*s = (struct sup){ .state = SUP_DOWN, .backoff = SUP_BACKOFF_MIN };
}

void sup_started(struct sup *s, uint64_t now)
{
	s->state = SUP_STARTING;
	s->started = now;
	s->starts++;
	s->ready = false;
	s->refusing = false;
	s->reason[0] = '\0';
}

void sup_said(struct sup *s, bool ready, const char *reason)
{
	s->state = SUP_RUNNING;
	s->was_ready = true;
	s->ready = ready;
	snprintf(s->reason, sizeof(s->reason), "%s", reason ? reason : "");
}

void sup_ended(struct sup *s, uint64_t now, int wstatus)
{
	if (now - s->started >= SUP_SETTLED)
		s->backoff = SUP_BACKOFF_MIN;
	s->state = SUP_WAITING;
	s->ended = now;
	s->start_at = now + s->backoff;
	s->backoff = s->backoff * 2 > SUP_BACKOFF_MAX ? SUP_BACKOFF_MAX : s->backoff * 2;
	s->wstatus = wstatus;
	s->ready = false;
	s->reason[0] = '\0';
}

bool sup_start_due(const struct sup *s, uint64_t now)
{
	return s->state == SUP_DOWN || (s->state == SUP_WAITING && now >= s->start_at);
}

bool sup_refuse_due(struct sup *s, uint64_t now)
{
	if (s->state != SUP_WAITING || s->refusing || now < s->ended + SUP_REFUSE)
		return false;
	s->refusing = true;
	return true;
}

uint64_t sup_next(const struct sup *s)
{
	if (s->state == SUP_DOWN)
		return 0;
	if (s->state != SUP_WAITING)
		return SUP_NEVER;
	uint64_t refuse = s->ended + SUP_REFUSE;
	return !s->refusing && refuse < s->start_at ? refuse : s->start_at;
}

uint32_t sup_restarts(const struct sup *s)
{
	return s->starts ? s->starts - 1 : 0;
}

const char *sup_why(int wstatus, char *buf, size_t size)
{
	if (WIFSIGNALED(wstatus))
		snprintf(buf, size, "signal %d", WTERMSIG(wstatus));
	else
		snprintf(buf, size, "exit status %d", WEXITSTATUS(wstatus));
	return buf;
}

const char *sup_describe(const struct sup *s, uint64_t now, char *buf, size_t size)
{
	static const char *const words[] = {
		[SUP_DOWN] = "not started",
		[SUP_STARTING] = "starting",
		[SUP_RUNNING] = "running",
	};
	char why[32];

	if (s->state != SUP_WAITING) {
		snprintf(buf, size, "%s", words[s->state]);
		return buf;
	}
	uint64_t left = s->start_at > now ? s->start_at - now : 0;
	/* Whole seconds, rounded up, for a person: 0 s would look like a lie. */
	snprintf(buf, size, "waiting %u s after %s", (unsigned)((left + 999) / 1000),
		 sup_why(s->wstatus, why, sizeof(why)));
	return buf;
}
