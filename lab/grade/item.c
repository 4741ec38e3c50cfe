/* SPDX-License-Identifier: MIT */
/* `items NAME` runs an item and reports on PROC_FD; by hand, without that, to the terminal. */
#include "lab/grade/item.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lab/grade/proc.h"

extern const struct item *const __start_lab_items[], *const __stop_lab_items[];

static char word[64]; /* empty: run by hand */
static char notes[4096];

/* The word is there already, or never: whoever started us wrote it first. */
static void read_word(void)
{
	struct stat st;
	ssize_t n;

	if (fstat(PROC_FD, &st) < 0 || !S_ISSOCK(st.st_mode))
		return;
	n = recv(PROC_FD, word, sizeof(word) - 1, MSG_DONTWAIT);
	word[n > 0 ? n : 0] = 0;
}

static _Noreturn void report(const char *verdict, const char *text)
{
	static char line[PROC_VERDICT];
	size_t done = 0, len;

	fflush(stdout);
	if (!*word) {
		printf("%s%s%s%s", verdict, *text ? " " : "", text, "\n");
		exit(*verdict != 'O');
	}
	len = (size_t)snprintf(line, sizeof(line), "%s %s %s", word, verdict, text);
	len = len < sizeof(line) ? len : sizeof(line) - 1;
	while (done < len) {
		ssize_t n = send(PROC_FD, line + done, len - done, MSG_NOSIGNAL);

		if (n < 0 && errno != EINTR)
			break;
		done += n > 0 ? (size_t)n : 0;
	}
	_exit(0);
}

void lab_lose(const char *fmt, ...)
{
	static char text[PROC_VERDICT - 256];
	va_list ap;
	size_t len;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	len = strlen(text);
	if (*notes)
		snprintf(text + len, sizeof(text) - len, "\n%s", notes);
	report("LOST", text);
}

void lab_want(uint64_t got, uint64_t expected, const char *fmt, ...)
{
	char what[512];
	va_list ap;

	if (got == expected)
		return;
	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	if (got < 10 && expected < 10)
		lab_lose("%s: expected %u, got %u", what, (unsigned)expected, (unsigned)got);
	lab_lose("%s: expected %#llx (%lld), got %#llx (%lld)", what, (unsigned long long)expected,
		 (long long)expected, (unsigned long long)got, (long long)got);
}

_Noreturn void lab_check_failed(const char *file, int line, const char *what, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* A check written for Criterion: what it says, or else what it compares. */
void lab_check_failed(const char *file, int line, const char *what, const char *fmt, ...)
{
	char said[8192];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(said, sizeof(said), fmt, ap);
	va_end(ap);
	if (!*said)
		lab_lose("expected %s (%s:%d)", what, file, line);
	if (!strncmp(said, "it is ", 6))
		lab_lose("expected %s, but %s (%s:%d)", what, said, file, line);
	lab_lose("%s\n(expected %s, %s:%d)", said, what, file, line);
}

void lab_note(const char *fmt, ...)
{
	size_t len = strlen(notes);
	va_list ap;

	if (len + 1 >= sizeof(notes))
		return;
	va_start(ap, fmt);
	vsnprintf(notes + len, sizeof(notes) - 1 - len, fmt, ap);
	va_end(ap);
	len = strlen(notes);
	notes[len] = '\n';
	notes[len + 1] = 0;
}

/* Async-signal-safe enough: the process is lost anyway, and watched. */
static void on_crash(int sig, siginfo_t *si, void *context)
{
	char text[160];

	(void)context;
	if (sig == SIGALRM)
		report("LOST", "it loops: what should take no time did not end");
	if (sig == SIGABRT)
		report("LOST", "abort() was called: an assertion failed (see the output below)");
	snprintf(text, sizeof(text), "the code crashed: %s at address %p", strsignal(sig),
		 si->si_addr);
	report("LOST", text);
}

static void catch_crashes(void)
{
	static const int sigs[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGALRM };
	static char stack[65536];
	stack_t ss = { .ss_sp = stack, .ss_size = sizeof(stack) };
	struct sigaction sa = { .sa_sigaction = on_crash,
				.sa_flags = (int)(SA_SIGINFO | SA_ONSTACK | SA_RESETHAND) };

	sigaltstack(&ss, NULL); /* the stack may be what overflowed */
	for (size_t i = 0; i < sizeof(sigs) / sizeof(*sigs); i++)
		sigaction(sigs[i], &sa, NULL);
}

void lab_quick(unsigned seconds)
{
	alarm(seconds);
}

int main(int argc, char **argv)
{
	read_word();
	if (*word)
		catch_crashes(); /* by hand: leave the crash to the debugger */
	for (const struct item *const *i = __start_lab_items; i < __stop_lab_items; i++) {
		if (argc == 2 && !strcmp((*i)->name, argv[1])) {
			(*i)->run();
			report("OK", "");
		}
		if (argc != 2)
			puts((*i)->name);
	}
	if (argc == 2)
		lab_lose("there is no item %s", argv[1]);
	return 0;
}
