/* SPDX-License-Identifier: MIT */
/* Guests booted by an item, and the piece of the trace that shows what went wrong. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lab/grade/item.h"
#include "lab/grade/proc.h"

#define TAIL 12 /* lines of the trace that are shown */

/* The last lines of the trace at @path; those around the first with @around in it, if there is. */
static void note_trace(const char *path, const char *around)
{
	static char line[TAIL][200];
	unsigned n = 0, more = 0;
	FILE *f = fopen(path, "r");
	char all[512];

	while (f && fgets(all, sizeof(all), f)) {
		all[strcspn(all, "\n")] = 0;
		snprintf(line[n++ % TAIL], sizeof(line[0]), "%.*s", (int)sizeof(line[0]) - 1, all);
		if (around && !more && strstr(all, around))
			more = 3;
		else if (more && !--more)
			break;
	}
	if (f)
		fclose(f);
	if (!n)
		return;
	lab_note(more || !around ? "the last exits:" : "the exits around it:");
	for (unsigned i = n > TAIL ? n - TAIL : 0; i < n; i++)
		lab_note("  %s", line[i % TAIL]);
}

/* The last @lines lines of @text. */
static const char *tail(const char *text, unsigned lines)
{
	const char *p = text + strlen(text);

	while (p > text && !(p[-1] == '\n' && !lines--))
		p--;
	return p;
}

static void trouble(const struct proc *p, int status, const char *shows)
{
	const char *err = strstr(p->out, "ringside: ");
	char why[300] = "";

	if (err)
		snprintf(why, sizeof(why), " (%.*s)", (int)strcspn(err, "\n"), err);
	if (p->hung)
		lab_lose("ringside hung: it did not even answer --timeout and was killed");
	if (p->status == 124)
		lab_lose("the guest hung: --timeout ended it\nthe console's end:\n%.2000s",
			 tail(p->out, 6));
	if (p->status != status)
		lab_lose("exit status: expected %d, got %d%s\nthe console's end:\n%.2000s", status,
			 p->status, why, tail(p->out, 6));
	lab_lose("the console: expected \"%s\", which is not there\nthe console's end:\n%.2000s",
		 shows, tail(p->out, 6));
}

const char *lab_boot(const char *guest, const char *const *args, unsigned seconds, int status,
		     const char *shows, const char *around)
{
	const char *tmp = getenv("TMPDIR"), *ringside = getenv("RINGSIDE"),
		   *guests = getenv("GUESTS");
	static char trace[300], image[512];
	const char *argv[24];
	static struct proc p;
	char timeout[16];
	unsigned n = 0;
	int fd;

	if (!ringside || !guests)
		lab_lose("set RINGSIDE and GUESTS to run this item by hand");
	snprintf(trace, sizeof(trace), "%.250s/ringside-trace-XXXXXX", tmp ? tmp : "/tmp");
	fd = mkstemp(trace);
	if (fd < 0)
		lab_lose("%s: cannot be written", trace);
	close(fd);
	snprintf(timeout, sizeof(timeout), "%u", seconds);
	snprintf(image, sizeof(image), "%s/%s.elf", guests, guest);
	argv[n++] = ringside;
	argv[n++] = "run";
	argv[n++] = "--trace";
	argv[n++] = trace;
	argv[n++] = "--timeout";
	argv[n++] = timeout;
	for (; *args && n < sizeof(argv) / sizeof(*argv) - 2; args++)
		argv[n++] = *args;
	argv[n++] = image;
	argv[n] = NULL;
	p = (struct proc){ .argv = argv, .seconds = seconds + 1 };
	if (proc_run(&p) < 0)
		lab_lose("%s cannot be started", ringside);
	if (p.hung || p.status != status || (shows && !strstr(p.out, shows))) {
		note_trace(trace, around);
		unlink(trace);
		trouble(&p, status, shows);
	}
	unlink(trace);
	return p.out;
}
