/* SPDX-License-Identifier: MIT */
/* Replacing the program of a process by another: a new address space, and arguments on its stack.
 */
#include "os.h"
#include "x86.h"

#define EFLAGS_ALWAYS 0x2u /* a reserved bit that is always set */

/*
 * Lay out what the program finds at ESP: argc, argv, the pointers, and above them the strings.
 * These are the first writes to the new stack, so each page of it comes by a page fault, taken in
 * the kernel.
 */
static uint32_t push_args(const char *args, unsigned count)
{
	uint32_t size = 0, esp, *sp;
	char *strings;
	for (unsigned i = 0; i < count; i++)
		size += (uint32_t)strlen(args + size) + 1;
	strings = (char *)(USER_END - size);
	memcpy(strings, args, size);

	esp = ((uint32_t)strings & ~15u) - (count + 1) * 4;
	sp = (uint32_t *)esp;
	for (unsigned i = 0; i < count; i++) {
		*sp++ = (uint32_t)strings;
		strings += strlen(strings) + 1;
	}
	*sp = 0;
	sp = (uint32_t *)esp;
	*--sp = esp; /* argv */
	*--sp = count;
	return (uint32_t)sp;
}

int exec(const char *name, const char *args, unsigned count)
{
	const struct program *program = program_find(name);
	struct space *fresh, *old = current->space;
	struct frame *f = process_frame(current);
	const char *reason;
	uint32_t entry;

	if (!program)
		return ERR_ABSENT;
	fresh = space_new();
	if (!fresh)
		return ERR_MEMORY;
	reason = elf_load(program, fresh, &entry);
	if (reason) {
		print("%s: %s\n", name, reason);
		space_leave(fresh);
		return ERR_FORMAT;
	}
	/* No way back from here. */
	current->activate.eip = 0;
	current->activate.preempted = NULL;
	current->space = fresh;
	space_use(fresh);
	if (old)
		space_leave(old);
	copy_name(current->name, sizeof(current->name), program->name);
	memset(f, 0, sizeof(*f));
	f->eip = entry;
	f->cs = SEL_USER_CODE;
	f->eflags = EFLAGS_ALWAYS | EFLAGS_IF;
	f->user_esp = push_args(args, count);
	f->user_ss = SEL_USER_DATA;
	return 0;
}
