/* SPDX-License-Identifier: MIT */
/*
 * The beginning and the end of the operating system: memory, paging, the first process; and when
 * that ends, the exit port.
 */
#include "os.h"
#include "x86.h"

static uint32_t free_at_start;

/* Split @line at its blanks into strings one behind the other, as exec() wants them. */
static unsigned split(char *args, size_t size, const char *line)
{
	unsigned count = 0;
	size_t n = 0;
	while (*line && n + 1 < size) {
		while (*line == ' ')
			line++;
		if (!*line)
			break;
		while (*line && *line != ' ' && n + 1 < size)
			args[n++] = *line++;
		args[n++] = 0;
		count++;
	}
	return count;
}

static void start(const char *name, const char *args, unsigned count) __attribute__((noreturn));
static void start(const char *name, const char *args, unsigned count)
{
	/* The loader's own tables may lie where we are about to allocate, so read them first. */
	uint32_t begin = programs_init(), idle_esp;
	int error;
	if (begin < (uint32_t)kernel_end)
		begin = (uint32_t)kernel_end;
	frames_init(begin, 0x100000 + boot.upper * 1024);
	paging_init();
	tss_init();
	/* From now on kernel and programs share one data segment, see vectors.S. */
	__asm__ volatile("movl %0, %%ds\n\tmovl %0, %%es" : : "r"(SEL_USER_DATA) : "memory");
	fault_init();
	syscall_init();

	free_at_start = frames_free();
	current = process_create(NULL);
	error = exec(name, args, count);
	if (error)
		panic("cannot start %s: error %d; is there a module with it?", name, error);
	current->state = RUNNING;
	current->slice = SLICE_TICKS;
	tss_set_stack(current->stack + PAGE_SIZE);
	clock_init();
	switch_stack(&idle_esp, current->esp);
	panic("the first process returned");
}

void os_end(int status)
{
	bool alone = true;
	for (unsigned i = 0; i < PROCESSES; i++) {
		const struct process *p = process_slot(i);
		alone &= p->state == UNUSED || p == current;
	}
	paging_use(kernel_dir);
	space_free(&current->space);
	/* When no other process is left, all memory must be free but for the stack we are on. */
	if (alone && frames_free() + 1 != free_at_start)
		panic("%u frames were free, and %u are", free_at_start, frames_free() + 1);
	if (status)
		print("minios: process 1 ended with status %x\n", (uint32_t)status);
	machine_exit(status ? EXIT_BAD : EXIT_GOOD);
}

void os_start_if_asked(void)
{
	static char args[ARGS_SIZE];
	const char *line;
	size_t n;
	if (!strcmp(boot.args, "sh"))
		start("sh", "sh", 1);
	line = after_prefix(boot.args, "run=");
	if (line) {
		unsigned count = split(args, sizeof(args), line);
		start(count ? args : "nothing", args, count);
	}
	line = after_prefix(boot.args, "script=");
	if (line) { /* sh -c LINE */
		memcpy(args, "sh\0-c\0", 6);
		n = 6;
		copy_name(args + n, sizeof(args) - n, line);
		start("sh", args, 3);
	}
}
