/* SPDX-License-Identifier: MIT */
/* What goes wrong around `ringside host`: nothing of it may take more than its own VM along. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/host_fixture.h"

/* What memory may grow by over many starts, KiB: sanitizers keep books, and what was
 * freed for a while.
 */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define RSS_SLACK (512u << 10)
#else
#define RSS_SLACK 2048u
#endif

#define VM(name, more) "{ name = \"" name "\"; image = \"%T\"; memory = \"4M\"; " more " }"

/* ---- worlds ---- */

/* One VM loses a world; the others do not lose a line. */
Test(host_faults, a_killed_world_ends_its_vm_alone, .timeout = 60)
{
	static const char *const names[] = { "a", "b", "c" };
	static char text[3][65536];
	unsigned restarted = 0;
	pid_t worlds[64];
	struct hf h;
	int fd[3];

	hf_start(&h,
		 "vms = ( " VM("a", "restart = \"on-failure\";") ",\n" VM(
			 "b", "restart = \"on-failure\";") ",\n" VM("c", "restart = "
									 "\"on-failure\";") " );\n",
		 NULL);
	for (int i = 0; i < 3; i++) {
		fd[i] = hf_attach(&h, names[i]);
		*text[i] = '\0';
		hf_read_until(&h, fd[i], text[i], sizeof(text[i]), "\n2\n");
	}
	cr_assert_geq(hf_children(&h, worlds, 64), 3);
	cr_assert_eq(kill(worlds[0], SIGKILL), 0);
	hf_expect(&h, "starts again in 1 s\n");
	hf_expect(&h, ": started again\n");
	for (int i = 0; i < 3; i++) {
		int64_t starts = hf_num(&h, names[i], "starts");

		cr_expect(starts == 1 || starts == 2);
		restarted += starts == 2;
		if (starts == 1) {
			hf_read_until(&h, fd[i], text[i], sizeof(text[i]), "\n40\n");
			hf_sequence(text[i]);
		}
		close(fd[i]);
	}
	cr_expect_eq(restarted, 1, "%s", h.said);
	hf_finish(&h);
}

/* ---- the host itself ---- */

Test(host_faults, a_killed_host_leaves_nothing_that_runs, .timeout = 60)
{
	struct stat st;
	struct hf h, other;

	hf_start(&h, "vms = ( " VM("a", "console = \"unix:u\";") " );\n", NULL);
	hf_until(&h, "a", "state", "running");
	/* Another cannot have its socket, ... */
	other = h;
	hf_start_again(&other, NULL);
	cr_expect_eq(waitpid(other.pid, NULL, 0), other.pid);
	hf_expect(&other, "is in use: another ringside host listens there\n");
	close(other.err);
	cr_expect_eq(hf_num(&h, "a", "starts"), 1);
	/* ... as long as it lives. */
	kill(h.pid, SIGKILL);
	cr_expect_eq(hf_end(&h), 128 + SIGKILL);
	cr_assert_eq(stat(h.sock, &st), 0, "the socket should be left over");
	hf_start_again(&h, NULL);
	hf_until(&h, "a", "state", "running");
	hf_finish(&h);
}

Test(host_faults, what_is_no_socket_is_not_replaced, .timeout = 60)
{
	struct hf h;

	hf_dir(&h);
	close(open(h.sock, O_CREAT | O_WRONLY, 0600));
	close(open(h.conf, O_CREAT | O_WRONLY, 0600));
	{
		FILE *f = fopen(h.conf, "w");

		fputs("vms = ( { name = \"a\"; image = \"/dev/null\"; } );\n", f);
		fclose(f);
	}
	hf_start_again(&h, NULL);
	hf_expect(&h, "is in the way: it is not a socket\n");
	cr_expect_eq(hf_end(&h), 2);
	cr_expect_eq(access(h.sock, F_OK), 0);
	hf_remove(&h);
}

/* ---- clients ---- */

static bool hung_up(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char buf[4096];

	while (poll(&p, 1, HF_PATIENCE_MS) > 0)
		if (read(fd, buf, sizeof(buf)) <= 0)
			return true;
	return false;
}

Test(host_faults, clients_that_send_garbage, .timeout = 60)
{
	static const char *const bad[] = {
		"",
		"hello",
		"{",
		"}",
		"[]",
		"42",
		"\"list\"",
		"null",
		"{\"cmd\":\"list\"} {\"cmd\":\"list\"}",
		"{\"cmd\":\"list\"}x",
		"{\"cmd\":1}",
		"{\"cmd\":null}",
		"{\"cmd\":[\"list\"]}",
		"{\"cmd\":\"\"}",
		"{\"cmd\":\"frob\"}",
		"{\"cmd\":\"list\",\"vm\":\"a\"}",
		"{\"cmd\":\"stop\"}",
		"{\"cmd\":\"stop\",\"vm\":1}",
		"{\"cmd\":\"stop\",\"vm\":\"\"}",
		"{\"cmd\":\"stop\",\"vm\":\"nobody\"}",
		"{\"cmd\":\"stop\",\"vm\":\"a\",\"x\":1}",
		"{\"vm\":\"a\"}",
		"{}",
		"{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{}}}}}}}",
		"{\"cmd\":\"\xff\xfe\"}",
		"\x01\x02\x03",
	};
	static char noise[200000];
	unsigned seed = 1;
	struct hf h;
	int fd;

	hf_start(&h, "vms = ( " VM("a", "") " );\n", NULL);
	fd = hf_connect(&h, NULL);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct json_object *o = hf_ask_raw(&h, fd, bad[i]);

		cr_expect_not(json_object_get_boolean(json_object_object_get(o, "ok")), "%s",
			      bad[i]);
		cr_expect_gt(json_object_get_string_len(json_object_object_get(o, "error")), 10,
			     "%s", bad[i]);
		json_object_put(o);
	}
	/* The connection has survived all that. */
	json_object_put(hf_ask_raw(&h, fd, "{\"cmd\":\"list\"}"));
	close(fd);
	/* A line without an end is an error and a hang-up. */
	fd = hf_connect(&h, NULL);
	memset(noise, 'x', sizeof(noise));
	(void)!send(fd, noise, 5000, MSG_NOSIGNAL);
	cr_expect(hung_up(fd), "a line of 5,000 bytes");
	close(fd);
	/* Noise, with newlines and zeros in it. */
	for (int i = 0; i < 20; i++) {
		fd = hf_connect(&h, NULL);
		for (size_t j = 0; j < sizeof(noise); j++) {
			seed = seed * 1103515245 + 12345;
			noise[j] = (char)(seed >> 16);
		}
		(void)!send(fd, noise, 3000, MSG_NOSIGNAL | MSG_DONTWAIT);
		close(fd);
	}
	hf_until(&h, "a", "state", "running");
	hf_finish(&h);
}

/* Ones that never read, never finish a line, or go away in the middle; others are served. */
Test(host_faults, clients_that_hang_or_vanish, .timeout = 60)
{
	enum { CROWD = 200 };
	static const char ask[] = "{\"cmd\":\"top\"}\n";
	static const char half[] = "{\"cmd\":\"li";
	static char text[65536];
	int crowd[CROWD], deaf, fd;
	struct hf h;

	hf_start(&h, "vms = ( " VM("a", "") ",\n" VM("b", "") " );\n", NULL);
	fd = hf_attach(&h, "a");
	*text = '\0';
	/* One asks and asks, and does not read: the host stops reading it, too. */
	deaf = hf_connect(&h, NULL);
	fcntl(deaf, F_SETFL, O_NONBLOCK);
	for (int i = 0; i < 100000; i++)
		if (send(deaf, ask, sizeof(ask) - 1, MSG_NOSIGNAL) < 0) {
			cr_expect_eq(errno, EAGAIN);
			break;
		}
	hf_do(&h, "{\"cmd\":\"list\"}");
	/* One waits for what takes its time and goes away. */
	for (int i = 0; i < 5; i++) {
		int waits = hf_connect(&h, NULL);

		(void)!write(waits, "{\"cmd\":\"wait\",\"vm\":\"b\"}\n", 25);
		close(waits);
	}
	/* More than there is room for: the new ones are served. */
	for (int i = 0; i < CROWD; i++) {
		crowd[i] = hf_connect(&h, NULL);
		(void)!send(crowd[i], half, sizeof(half) - 1, MSG_NOSIGNAL);
	}
	hf_do(&h, "{\"cmd\":\"list\"}");
	cr_expect(hung_up(crowd[0]), "the first of so many is still there");
	for (int i = 0; i < CROWD; i++)
		close(crowd[i]);
	hf_do(&h, "{\"cmd\":\"stop\",\"vm\":\"b\"}");
	close(deaf);
	/* And who looked at the console all the time has not missed a line. */
	hf_read_until(&h, fd, text, sizeof(text), "\n30\n");
	hf_sequence(text);
	close(fd);
	hf_finish(&h);
}

/*
 * Someone who attaches and does not read costs nobody anything, and learns how much he missed; nor
 * does a guest stall whose console nobody takes.
 */
Test(host_faults, a_stream_that_is_not_read, .timeout = 60)
{
	static char text[1 << 20];
	struct hf h;
	int deaf, fd;

	hf_start(&h, "vms = ( " VM("a", "") " );\n", NULL);
	deaf = hf_attach(&h, "a");
	fd = hf_attach(&h, "a");
	cr_assert_eq(write(fd, "l", 1), 1); /* loud */
	/* So much is more than a ring and all the socket's buffers. */
	for (unsigned n = 0; n < 1200000;) {
		ssize_t got = read(fd, text, sizeof(text) - 1);

		cr_assert_gt(got, 0);
		n += (unsigned)got;
	}
	*text = '\0';
	hf_read_until(&h, deaf, text, sizeof(text), " bytes lost]\r\n");
	close(deaf);
	close(fd);
	hf_do(&h, "{\"cmd\":\"stop\",\"vm\":\"a\"}");
	hf_finish(&h);
}

/* Nor does anything wait for somebody to read what the host says. */
Test(host_faults, standard_error_that_is_not_read, .timeout = 60)
{
	struct hf h;

	hf_start(&h, "vms = ( " VM("a", "") " );\n", NULL);
	hf_until(&h, "a", "state", "running");
	cr_assert_gt(fcntl(h.err, F_SETPIPE_SZ, 4096), 0);
	for (int i = 0; i < 200; i++) {
		hf_do(&h, "{\"cmd\":\"stop\",\"vm\":\"a\"}");
		hf_do(&h, "{\"cmd\":\"start\",\"vm\":\"a\"}");
	}
	hf_count(&h, ""); /* read it */
	hf_do(&h, "{\"cmd\":\"stop\",\"vm\":\"a\"}");
	hf_expect(&h, " lines are missing here: nobody took them\nringside: a: stopped\n");
	hf_finish(&h);
}

/* Another user is not served, though somebody has opened the permissions. */
Test(host_faults, other_users_are_hung_up_on, .timeout = 60)
{
	struct hf h;
	int status;
	pid_t pid;

	if (geteuid() != 0)
		cr_skip_test("only root can become somebody else");
	hf_start(&h, "vms = ( " VM("a", "") " );\n", NULL);
	hf_until(&h, "a", "state", "running");
	cr_assert_eq(chmod(h.dir, 0755), 0);
	cr_assert_eq(chmod(h.sock, 0666), 0);
	pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0) {
		struct sockaddr_un sun = { .sun_family = AF_UNIX };
		int fd = socket(AF_UNIX, SOCK_STREAM, 0);
		char c;

		alarm(HF_PATIENCE_MS / 1000);
		strcpy(sun.sun_path, h.sock);
		if (setgid(65534) || setuid(65534) ||
		    connect(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0)
			_exit(2);
		(void)!send(fd, "{\"cmd\":\"list\"}\n", 15, MSG_NOSIGNAL);
		_exit(read(fd, &c, 1) > 0);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %#x", status);
	hf_finish(&h);
}

/* ---- full disks ---- */

Test(host_faults, a_full_device_for_a_console, .timeout = 60)
{
	static char text[65536];
	struct hf h;
	int fd;

	hf_start(&h, "vms = ( " VM("a", "console = \"file:/dev/full\";") " );\n", NULL);
	hf_expect(&h, "a: console file /dev/full: No space left on device; output is dropped until "
		      "it can be written\n");
	fd = hf_attach(&h, "a");
	*text = '\0';
	/* More than a second, after which it is tried again. */
	hf_read_until(&h, fd, text, sizeof(text), "\n70\n");
	hf_sequence(text);
	cr_expect_eq(hf_count(&h, "/dev/full"), 1, "%s", h.said);
	cr_assert_eq(write(fd, "x", 1), 1);
	cr_expect_eq(hf_end(&h), 0, "%s", h.said);
	close(fd);
	hf_remove(&h);
}

/* A real file system that fills up and has room again. */
Test(host_faults, a_disk_that_fills_up_and_has_room_again, .timeout = 60)
{
	static char block[4096], text[65536];
	char filler[160], config[512];
	struct hf disk, h;
	int fd;

	if (geteuid() != 0)
		cr_skip_test("only root can mount a small file system");
	hf_dir(&disk);
	cr_assert_eq(mount("none", disk.dir, "tmpfs", 0, "size=64k"), 0, "%s", strerror(errno));
	snprintf(filler, sizeof(filler), "%s/filler", disk.dir);
	strcpy(config,
	       "vms = ( { name = \"a\"; image = \"%T\"; memory = \"4M\"; console = \"file:");
	strcat(strcat(config, disk.dir), "/log\"; } );\n");
	fd = open(filler, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	while (write(fd, block, sizeof(block)) > 0)
		;
	close(fd);
	hf_start(&h, config, NULL);
	hf_expect(&h, "/log: No space left on device; output is dropped");
	cr_assert_eq(unlink(filler), 0);
	hf_expect(&h, "/log is written again; ");
	fd = hf_attach(&h, "a");
	*text = '\0';
	hf_read_until(&h, fd, text, sizeof(text), "\n40\n");
	hf_sequence(text);
	close(fd);
	hf_finish(&h);
	cr_expect_eq(umount(disk.dir), 0);
	hf_remove(&disk);
}

/* ---- many starts and stops ---- */

/* A capped VM goes on in its next period, though no interrupt comes to remind anybody of it. */
Test(host_faults, a_cap_holds_back_and_lets_go, .timeout = 60)
{
	static char text[65536];
	struct hf h;
	int fd;

	hf_start(&h, "vms = ( " VM("a", "cap = 20;") " );\n", NULL);
	fd = hf_attach(&h, "a");
	cr_assert_eq(write(fd, "c", 1), 1);
	*text = '\0';
	/* Some 50 ms of a CPU, of which it gets 20 ms in each period. */
	hf_read_until(&h, fd, text, sizeof(text), "\n40\n");
	hf_sequence(text);
	hf_do(&h, "{\"cmd\":\"stop\",\"vm\":\"a\"}");
	close(fd);
	hf_finish(&h);
}

/* What its cap, or a pause, holds back ends all the same: also if it is stopped right after. */
Test(host_faults, what_is_held_back_can_be_stopped, .timeout = 120)
{
	struct hf h;
	int fd;

	hf_start(&h,
		 "vms = ( " VM("a", "start = false; vcpus = 2; cap = 20; affinity = [0];") " );\n",
		 NULL);
	fd = hf_connect(&h, NULL);
	for (unsigned i = 0; i < 120; i++) {
		json_object_put(hf_ask_raw(&h, fd, "{\"cmd\":\"start\",\"vm\":\"a\"}"));
		for (unsigned j = 0; j < i % 4; j++)
			json_object_put(hf_ask_raw(&h, fd, "{\"cmd\":\"list\"}"));
		if (i % 3 == 0)
			json_object_put(hf_ask_raw(&h, fd, "{\"cmd\":\"pause\",\"vm\":\"a\"}"));
		json_object_put(hf_ask_raw(&h, fd, "{\"cmd\":\"stop\",\"vm\":\"a\"}"));
		hf_count(&h, "");
	}
	close(fd);
	hf_finish(&h);
}

Test(host_faults, cycles_leak_nothing, .timeout = 3000)
{
	static char text[65536];
	const char *asked = getenv("HOST_CYCLES");
	unsigned cycles = asked ? (unsigned)atoi(asked) : 100;
	struct hf_usage before = { 0 }, after;
	struct json_object *o;
	struct hf h;
	int fd;

	hf_start(&h, "vms = ( " VM("a", "start = false; vcpus = 2;") ",\n" VM("b", "") " );\n",
		 NULL);
	fd = hf_attach(&h, "b");
	hf_read_until(&h, fd, text, sizeof(text), "\n2\n");
	close(fd);
	fd = hf_connect(&h, NULL);
	for (unsigned i = 0; i < cycles + 5; i++) {
		o = hf_ask_raw(&h, fd, "{\"cmd\":\"start\",\"vm\":\"a\"}");
		cr_assert(json_object_get_boolean(json_object_object_get(o, "ok")), "%s",
			  json_object_to_json_string(o));
		json_object_put(o);
		/* Some are stopped at once, and some when they have printed something. */
		while (i % 2 && hf_usage(&h).children < 2)
			usleep(1000);
		o = hf_ask_raw(&h, fd, "{\"cmd\":\"stop\",\"vm\":\"a\"}");
		cr_assert(json_object_get_boolean(json_object_object_get(o, "ok")), "%s",
			  json_object_to_json_string(o));
		json_object_put(o);
		hf_count(&h, ""); /* or its lines would fill the pipe, and be dropped */
		/* The first few make what is kept: arenas of threads, caches. */
		if (i == 4)
			before = hf_usage(&h);
	}
	after = hf_usage(&h);
	cr_log_info("%u cycles: %u -> %u descriptors, %u -> %u threads, %u -> %u worlds, %llu -> "
		    "%llu KiB\n",
		    cycles, before.fds, after.fds, before.threads, after.threads, before.children,
		    after.children, (unsigned long long)before.rss_kib,
		    (unsigned long long)after.rss_kib);
	cr_expect_eq(after.fds, before.fds, "%u descriptors, %u before", after.fds, before.fds);
	cr_expect_eq(after.threads, before.threads, "%u threads, %u before", after.threads,
		     before.threads);
	cr_expect_eq(after.children, before.children, "%u worlds, %u before", after.children,
		     before.children);
	cr_expect_leq(after.rss_kib, before.rss_kib + RSS_SLACK, "%llu KiB, %llu before",
		      (unsigned long long)after.rss_kib, (unsigned long long)before.rss_kib);
	close(fd);
	hf_finish(&h);
}
