#include "config.h"

#include "noded/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/child.h"

void spawn_init_begin(struct spawn_init *in, const struct setup *s, enum daemon_id id, int config)
{
	*in = (struct spawn_init){ .body = { .config_path = s->file,
					     .node = s->node,
					     .uid = s->uid[id],
					     .gid = s->gid[id] } };
	spawn_init_add(in, INIT_CONFIG, config, "");
}

void spawn_init_add(struct spawn_init *in, enum init_fd kind, int fd, const char *name)
{
	if (fd < 0 || in->n == MSG_MAX_FDS)
		return;
	in->kinds[in->n] = (struct m_init_fd){ (uint8_t)kind, name };
	in->fds[in->n++] = fd;
}

void spawn_init_end(struct spawn_init *in)
{
	in->body.fds.n = in->n;
	in->body.fds.v = in->kinds;
}

/* In the new process; only what is safe between fork and exec. */
__attribute__((noreturn)) static void become(int exe, const char *name, int channel, pid_t parent)
{
	static const char *const said[] = { "noded: cannot execute ", "\n" };
	char *argv[] = { (char *)name, NULL };
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(127);
	if (channel == CHILD_FD)
		fcntl(channel, F_SETFD, 0);
	else
		dup2(channel, CHILD_FD);
	/* A library that opened a descriptor without close-on-exec must not hand it on. The
	 * executable's own lives until it has been used. */
	syscall(SYS_close_range, CHILD_FD + 1, ~0u, CLOSE_RANGE_CLOEXEC);
	syscall(SYS_execveat, exe, "", argv, environ, AT_EMPTY_PATH);
	(void)!write(2, said[0], strlen(said[0]));
	(void)!write(2, name, strlen(name));
	(void)!write(2, said[1], 1);
	_exit(127);
}

pid_t spawn(int exe, const char *name, int *channel, struct err *err)
{
	int pair[2];
	pid_t parent = getpid();

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return err_sys(err, errno, "%s: socketpair", name);
	pid_t pid = fork();
	if (pid == 0) {
		/* The executable may sit where the channel goes. */
		int moved = exe == CHILD_FD ? fcntl(exe, F_DUPFD_CLOEXEC, CHILD_FD + 1) : exe;
		become(moved, name, pair[1], parent);
	}
	int e = errno;
	close(pair[1]);
	if (pid < 0) {
		close(pair[0]);
		return err_sys(err, e, "%s: fork", name);
	}
	*channel = pair[0];
	return pid;
}
