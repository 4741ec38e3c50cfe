/* SPDX-License-Identifier: MIT */
/*
 * Graded items.  lab/X/tests.c has one ITEM() for each line of lab/X/points; they are linked with
 * the student's file into the program "items", which runs one of them, in a process of its own,
 * with limits (lab/grade/).  An item ends by returning: its points are earned.  Or by LOSE() and
 * what is built on it: they are lost, and the student reads the sentence.  Or the student's code
 * crashes or loops: they are lost, and the student reads that.
 *
 *	ITEM(turns_are_taken)
 *	{
 *		unsigned got = thing_of_the_student(3);
 *
 *		WANT(got, 9, "thing_of_the_student(3)");
 *	}
 *
 * What is written for Criterion (tests/sched_sim.c, tests/child.c, tests/raw_guest.h ...) can be
 * used as it is: in an item a cr_assert() that fails, or cr_expect(), loses the points.
 */
#ifndef RINGSIDE_LAB_GRADE_ITEM_H
#define RINGSIDE_LAB_GRADE_ITEM_H

#include <stdbool.h>
#include <stdint.h>

struct item {
	const char *name;
	void (*run)(void);
};

#define ITEM(id)                                                                                  \
	static void id(void);                                                                     \
	static const struct item lab_item_##id = { #id, id };                                     \
	__attribute__((used,                                                                      \
		       section("lab_items"))) static const struct item *const lab_item_ptr_##id = \
		&lab_item_##id;                                                                   \
	static void id(void)

/*
 * The item's points are lost.  The first line is what the student reads: a sentence that says what
 * was expected and what came.  Further lines are shown below it, indented.
 */
_Noreturn void lab_lose(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
#define LOSE(...) lab_lose(__VA_ARGS__)

/* Lose with "WHAT: expected EXPECTED, got GOT" unless they are equal; numbers in hex, too. */
void lab_want(uint64_t got, uint64_t expected, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
#define WANT(got, expected, ...) lab_want((uint64_t)(got), (uint64_t)(expected), __VA_ARGS__)

/* A line to be shown below the sentence if the points are lost later: what was done so far. */
void lab_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
#define NOTE(...) lab_note(__VA_ARGS__)

/*
 * The points are lost unless lab_quick(0) comes within @seconds: what an item that boots a guest
 * looks at first.
 */
void lab_quick(unsigned seconds);

/*
 * Boot @guest (a name in build/guest, as "minios") with the part's ringside and @args (ending with
 * NULL, up to 16), for at most @seconds.  If it does not end with @status, or its console does
 * not show @shows (NULL: anything), the points are lost, with the last exits of the trace; with the
 * exits up to the one after @around, a piece of a trace line, if that is not NULL.
 * Returns what it printed, standard error included; valid until the next call.  For a guest that
 * reads its console, see tests/child.h.
 */
const char *lab_boot(const char *guest, const char *const *args, unsigned seconds, int status,
		     const char *shows, const char *around);
#define ARGS(...)                               \
	(const char *const[])                   \
	{                                       \
		__VA_ARGS__ __VA_OPT__(, ) NULL \
	}

#endif
