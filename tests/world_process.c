/* SPDX-License-Identifier: MIT */
/* The world engine alone: the process behind it, its threads, its sandbox, and its end. */
#include "tests/world_fixture.h"

TestSuite(world_process, .timeout = 30);

/* ---- kick ---- */

static void *kicker(void *arg)
{
	struct fixture *f = arg;

	while (!atomic_load(&world_of(f->v.engine)->in_guest))
		sched_yield();
	vcpu_kick(&f->v);
	return NULL;
}

Test(world_process, kick_ends_an_endless_loop)
{
	struct fixture f;
	pthread_t t;

	start(&f);
	for (int i = 0; i < 20; i++) {
		CODE_IS(&f, 0xeb, 0xfe); /* jmp . */
		atomic_store(&f.v.kicked, 0);
		pthread_create(&t, NULL, kicker, &f);
		do
			run(&f, 0);
		while (f.x.reason == EXIT_PAGE_FAULT);
		pthread_join(t, NULL);
		cr_expect_eq(f.x.reason, EXIT_KICK);
		cr_expect_eq(f.v.regs.eip, CODE);
	}
	stop(&f);
}

Test(world_process, kick_before_run_is_not_lost)
{
	struct fixture f;

	start(&f);
	CODE_IS(&f, 0xeb, 0xfe);
	vcpu_kick(&f.v);
	run(&f, 0);
	cr_expect_eq(f.x.reason, EXIT_KICK);
	stop(&f);
}

/* New descriptors while the queue for the mapper is almost full: each must arrive. */
Test(world_process, segments_behind_a_full_queue)
{
	static const enum seg changed[] = { SEG_ES, SEG_SS, SEG_DS, SEG_FS, SEG_GS };
	struct fixture f;

	start(&f);
	CODE_IS(&f, 0xf4);
	run(&f, 0);
	for (uint32_t i = 0; i < 5; i++) {
		f.v.regs.seg[changed[i]].base = 0x100 * (i + 1);
		memset(f.vm.ram + DATA + 0x100 * (i + 1), (int)(i + 1), 4);
	}
	for (unsigned i = 0; i < WORLD_BATCH - 1; i++)
		cr_assert_eq(world_engine.unmap(f.v.engine, 0xc0000000u, PAGE_SIZE), 0);
	/* mov %es:DATA,%eax; %ss, %ecx; %ds, %edx; %fs, %ebx; %gs, %esi; hlt */
	CODE_IS(&f, 0x26, 0xa1, LE32(DATA), 0x36, 0x8b, 0x0d, LE32(DATA), 0x8b, 0x15, LE32(DATA),
		0x64, 0x8b, 0x1d, LE32(DATA), 0x65, 0x8b, 0x35, LE32(DATA), 0xf4);
	run(&f, 0);
	EXPECT_EXIT(&f, EXIT_PRIVILEGED, VEC_GP, CODE + 33);
	cr_expect_eq(f.v.regs.gpr[EAX], 0x01010101);
	cr_expect_eq(f.v.regs.gpr[ECX], 0x02020202);
	cr_expect_eq(f.v.regs.gpr[EDX], 0x03030303);
	cr_expect_eq(f.v.regs.gpr[EBX], 0x04040404);
	cr_expect_eq(f.v.regs.gpr[ESI], 0x05050505);
	stop(&f);
}

static bool is_mapped(pid_t pid, unsigned long gva)
{
	char path[64], line[512];
	bool found = false;
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	maps = fopen(path, "r");
	cr_assert(maps);
	while (fgets(line, sizeof(line), maps))
		found |= strtoul(line, NULL, 16) == gva;
	fclose(maps);
	return found;
}

/* A breached runner can write all of the exchange page, but not report for the mapper. */
Test(world_process, report_of_the_mapper_cannot_be_forged)
{
	struct fixture f;

	start(&f);
	CODE_IS(&f, 0xf4);
	run(&f, 0);
	for (uint32_t i = 0; i < 50; i++) {
		struct world *w = world_of(f.v.engine);
		uint32_t *line = (uint32_t *)((uint8_t *)w->xchg + 192);
		uint32_t gva = 0x10000000 + i * 0x10000;

		line[0] = w->seq + 1;
		cr_assert_eq(world_engine.map(f.v.engine, gva, CODE, PAGE_SIZE, MAP_R), 0);
		cr_assert_eq(world_engine.sync(f.v.engine), 0, "%s", f.vm.death);
		cr_assert(is_mapped(w->pid, gva), "request %u was not carried out", i);
	}
	stop(&f);
}

/* ---- FPU ---- */

Test(world_process, fpu_state_moves_to_another_world)
{
	static uint8_t image[65536];
	struct fixture f, g;
	long len;

	start(&f);
	start(&g);
	for (int i = 0; i < 16; i++)
		f.vm.ram[DATA + i] = (uint8_t)(0xa0 + i);
	/* movups DATA,%xmm5; fldpi; hlt */
	CODE_IS(&f, 0x0f, 0x10, 0x2d, LE32(DATA), 0xd9, 0xeb, 0xf4);
	run(&f, 0);
	EXPECT_EXIT(&f, EXIT_PRIVILEGED, VEC_GP, CODE + 9);
	len = world_engine.get_fpu(f.v.engine, image, sizeof(image));
	cr_assert_geq(len, 512);
	cr_assert_leq((size_t)len, sizeof(image));
	/* And it survives in its own world. */
	CODE_IS(&f, 0x0f, 0x11, 0x2d, LE32(DATA + 32), 0xf4);
	run(&f, 0);
	cr_expect_arr_eq(f.vm.ram + DATA + 32, f.vm.ram + DATA, 16);

	CODE_IS(&g, 0xf4);
	run(&g, 0);
	cr_assert_eq(world_engine.set_fpu(g.v.engine, image, (size_t)len), 0);
	/* movups %xmm5,DATA; fstpl DATA+16; hlt */
	CODE_IS(&g, 0x0f, 0x11, 0x2d, LE32(DATA), 0xdd, 0x1d, LE32(DATA + 16), 0xf4);
	run(&g, 0);
	EXPECT_EXIT(&g, EXIT_PRIVILEGED, VEC_GP, CODE + 13);
	cr_expect_arr_eq(g.vm.ram + DATA, f.vm.ram + DATA, 16);
	double pi;

	memcpy(&pi, g.vm.ram + DATA + 16, sizeof(pi));
	cr_expect(pi > 3.141592 && pi < 3.141593);
	stop(&f);
	stop(&g);
}

/* ---- the sandbox ---- */

Test(world_process, has_only_its_two_descriptors_and_no_memory_of_ours)
{
	char path[64], line[512];
	struct fixture f;
	struct dirent *d;
	unsigned fds = 0;
	DIR *dir;
	FILE *maps;

	start(&f);
	CODE_IS(&f, 0xf4);
	run(&f, 0);
	pid_t pid = world_of(f.v.engine)->pid;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	cr_assert(dir);
	while ((d = readdir(dir)))
		if (d->d_name[0] != '.') {
			fds++;
			int n = atoi(d->d_name);

			cr_expect(n == WORLD_FD_RAM || n == WORLD_FD_DONE, "descriptor %d", n);
		}
	closedir(dir);
	cr_expect_eq(fds, 2);

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	maps = fopen(path, "r");
	cr_assert(maps);
	while (fgets(line, sizeof(line), maps)) {
		unsigned long from = strtoul(line, NULL, 16);
		bool ours = (from >= CODE && from < RAM) || from >= WORLD_STUB_ADDR;

		cr_expect(ours, "unexpected mapping: %s", line);
		cr_expect_null(strstr(line, "heap"), "%s", line);
		cr_expect_null(strstr(line, "[stack]"), "%s", line);
		if (strstr(line, "vdso"))
			cr_expect_eq(from, WORLD_VDSO_ADDR, "%s", line);
	}
	fclose(maps);
	stop(&f);
}

Test(world_process, both_threads_are_filtered)
{
	char path[300], line[256];
	struct fixture f;
	struct dirent *d;
	unsigned threads = 0, filtered = 0, nnp = 0;
	DIR *dir;

	start(&f);
	CODE_IS(&f, 0xf4);
	run(&f, 0);
	snprintf(path, sizeof(path), "/proc/%d/task", world_of(f.v.engine)->pid);
	dir = opendir(path);
	cr_assert(dir);
	while ((d = readdir(dir))) {
		FILE *st;

		if (d->d_name[0] == '.')
			continue;
		threads++;
		snprintf(path, sizeof(path), "/proc/%d/task/%s/status", world_of(f.v.engine)->pid,
			 d->d_name);
		st = fopen(path, "r");
		cr_assert(st);
		while (fgets(line, sizeof(line), st)) {
			filtered += !strcmp(line, "Seccomp:\t2\n");
			nnp += !strcmp(line, "NoNewPrivs:\t1\n");
		}
		fclose(st);
	}
	closedir(dir);
	cr_expect_eq(threads, 2);
	cr_expect_eq(filtered, 2);
	cr_expect_eq(nnp, 2);
	stop(&f);
}

Test(world_process, sixty_four_bit_code_is_a_breach)
{
	/* ljmp $0x33,$CODE+7; then 64-bit: mov $39,%eax; syscall (getpid) */
	static const uint8_t syscall64[] = { 0xea, LE32(CODE + 7), 0x33, 0, 0xb8, 39, 0, 0,
					     0,    0x0f,           0x05 };
	/* ... and ud2 */
	static const uint8_t ud64[] = { 0xea, LE32(CODE + 7), 0x33, 0, 0x0f, 0x0b };
	/* ... and movabs $share+PAGE (the turn word),%rbx; movl $7,(%rbx); jmp . */
	static const uint8_t scribble[] = {
		0xea, LE32(CODE + 7), 0x33, 0,    0x48,    0xbb, 0x00, 0x10, 0x00, 0x00, 0x00, 0x7d,
		0x00, 0x00,           0xc7, 0x83, LE32(0), 7,    0,    0,    0,    0xeb, 0xfe
	};
	const struct {
		const uint8_t *bytes;
		size_t len;
	} cases[] = { { syscall64, sizeof(syscall64) }, { ud64, sizeof(ud64) } };
	struct fixture f;

	for (size_t i = 0; i < 2; i++) {
		start(&f);
		code(&f, cases[i].bytes, cases[i].len);
		run(&f, 0);
		cr_expect_eq(f.x.reason, EXIT_BREACH);
		cr_expect_not_null(f.x.why);
		stop(&f);
	}
	start(&f);
	code(&f, scribble, sizeof(scribble));
	/* The address in the code above is WORLD_SHARE_ADDR + WORLD_PAGE. */
	memcpy(f.vm.ram + CODE + 9, &(uint64_t){ WORLD_SHARE_ADDR + WORLD_PAGE }, 8);
	run(&f, 0);
	cr_expect_eq(f.x.reason, EXIT_BREACH);
	stop(&f);
}

Test(world_process, a_killed_world_is_noticed)
{
	struct fixture f;

	start(&f);
	CODE_IS(&f, 0xf4);
	run(&f, 0);
	kill(world_of(f.v.engine)->pid, SIGKILL);
	f.v.regs.eip = CODE;
	run(&f, 0);
	cr_expect_eq(f.x.reason, EXIT_DEAD);
	run(&f, 0);
	cr_expect_eq(f.x.reason, EXIT_DEAD, "and stays dead");
	stop(&f);
}

/* Intel: sysenter enters the host from compatibility mode; AMD: #UD. */
Test(world_process, sysenter_never_reaches_the_host)
{
	static const uint32_t ebp[] = { DATA, 0, 0xfffffff0u, 0x700000 };
	unsigned a, b = 0, c, d;
	struct fixture f;

	__get_cpuid(0, &a, &b, &c, &d);
	start(&f);
	for (size_t i = 0; i < 4; i++) {
		CODE_IS(&f, 0x0f, 0x34);
		f.v.regs.gpr[EAX] = 20; /* getpid */
		f.v.regs.gpr[EBP] = ebp[i];
		run(&f, 0);
		if (b == signature_INTEL_ebx)
			cr_expect_eq(f.x.reason, EXIT_SYSENTER, "ebp %#x: reason %d gva %#x",
				     ebp[i], f.x.reason, f.x.gva);
		else
			EXPECT_EXIT(&f, EXIT_PRIVILEGED, VEC_UD, CODE);
	}
	CODE_IS(&f, 0x0f, 0x05, 0xf4);
	run(&f, 0);
	if (b == signature_INTEL_ebx) {
		EXPECT_EXIT(&f, EXIT_PRIVILEGED, VEC_UD, CODE);
	} else {
		cr_expect_eq(f.x.reason, EXIT_SYSCALL);
		cr_expect_eq(f.v.regs.gpr[ECX], CODE + 2);
	}
	stop(&f);
}

/* The whole engine as an unprivileged user: low addresses are refused, the rest works. */
Test(world_process, works_unprivileged)
{
	int status;
	pid_t pid;

	if (getuid() != 0) /* then every test of this file already runs unprivileged */
		return;
	pid = fork();
	if (pid == 0) {
		struct fixture f;
		int bad = 0;

		if (setgid(65534) || setuid(65534))
			_exit(100);
		start(&f);
		CODE_IS(&f, 0x40, 0xfa);
		f.v.regs.gpr[EAX] = 41;
		run(&f, 0);
		bad |= f.x.reason != EXIT_PRIVILEGED || f.v.regs.gpr[EAX] != 42;
		bad |= (f.v.engine->low_limit == 0) << 1;
		bad |= (world_engine.map(f.v.engine, 0, 0, PAGE_SIZE, MAP_R) != -EPERM) << 2;
		bad |= (world_engine.map(f.v.engine, (gva_t)f.v.engine->low_limit, 0, PAGE_SIZE,
					 MAP_R) != 0)
		       << 3;
		CODE_IS(&f, 0xa0, LE32(0), 0xf4);
		run(&f, 0);
		bad |= (f.x.reason != EXIT_PAGE_FAULT || f.x.gva != 0) << 4;
		stop(&f);
		_exit(bad);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %#x", status);
}

Test(world_process, both_handoffs_carry_the_same_state)
{
	struct fixture f;

	start(&f);
	CODE_IS(&f, 0x40, 0xfa, 0xeb, 0xfc); /* inc %eax; cli; jmp CODE */
	f.v.regs.gpr[EAX] = 0;
	for (uint32_t i = 1; i <= 3000; i++) {
		f.v.regs.eip = i == 1 ? CODE : CODE + 2;
		if (i % 500 == 0)
			handoff_force(world_of(f.v.engine),
				      i / 500 % 2 ? HANDOFF_SPIN : HANDOFF_SHARE);
		run(&f, 0);
		cr_assert_eq(f.x.reason, EXIT_PRIVILEGED);
		cr_assert_eq(f.v.regs.gpr[EAX], i);
	}
	stop(&f);
}
