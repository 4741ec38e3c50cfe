/* SPDX-License-Identifier: MIT */
/*
 * The beginning and the end of the operating system: memory, paging, the first process; and when
 * that ends, the exit port.
 */
#include "os.h"
#include "x86.h"

static uint32_t free_at_start;
static const char *first_name, *first_args; /* of process 1 */
static unsigned first_count;
uint32_t smp_stress_rounds, smp_break;

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

/* Process 1, still in the kernel: what comes after is its program. */
static void first(void)
{
	int error = exec(first_name, first_args, first_count);
	if (error)
		panic("cannot start %s: error %d; is there a module with it?", first_name, error);
}

/* The boot processor has become its own idle process. */
static void go_on(void)
{
	struct process *p;
	int error;
	tss_init(0);
	/* From now on kernel and programs share one data segment, see vectors.S. */
	__asm__ volatile("movl %0, %%ds\n\tmovl %0, %%es" : : "r"(SEL_USER_DATA) : "memory");
	fault_init();
	flush_init();
	schedule_init();
	activation_init();
	clock_init();
	cpus_start();
	if (smp_stress_rounds)
		smp_stress();
	syscall_init();
	free_at_start = frames_free();
	p = process_create(NULL, first, &error);
	if (!p)
		panic("no process 1: error %d", error);
	process_start(p);
	rest();
}

static void start(void) __attribute__((noreturn));
static void start(void)
{
	/* The loader's own tables may lie where we are about to allocate, so read them first. */
	uint32_t begin = programs_init(), boot_esp;
	cpus_find();
	if (begin < (uint32_t)kernel_end)
		begin = (uint32_t)kernel_end;
	frames_init(begin, 0x100000 + boot.upper * 1024);
	paging_init();
	process_create_idle(&cpus[0], go_on);
	os_runs = true;
	switch_stack(&boot_esp, cpus[0].idle->esp);
	panic("back on the boot stack");
}

static void start_program(const char *name, const char *args, unsigned count)
	__attribute__((noreturn));
static void start_program(const char *name, const char *args, unsigned count)
{
	first_name = name;
	first_args = args;
	first_count = count;
	start();
}

void os_end(int status)
{
	bool alone = true;
	for (unsigned i = 0; i < PROCESSES; i++) {
		const struct process *p = process_slot(i);
		alone &= p->state == UNUSED || p == current;
	}
	space_use(NULL);
	space_leave(current->space);
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
		start_program("sh", "sh", 1);
	line = after_prefix(boot.args, "run=");
	if (line) {
		unsigned count = split(args, sizeof(args), line);
		start_program(count ? args : "nothing", args, count);
	}
	line = after_prefix(boot.args, "script=");
	if (line) { /* sh -c LINE */
		memcpy(args, "sh\0-c\0", 6);
		n = 6;
		copy_name(args + n, sizeof(args) - n, line);
		start_program("sh", args, 3);
	}
	if (after_prefix(boot.args, "smp-break=") && boot_arg("smp-break=", &smp_break)) {
		smp_stress_rounds = 1;
		start();
	}
	if (after_prefix(boot.args, "smp-stress=") && boot_arg("smp-stress=", &smp_stress_rounds) &&
	    smp_stress_rounds)
		start();
}
