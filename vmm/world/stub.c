/* SPDX-License-Identifier: MIT */
/*
 * The world stub: the only code of ours in a process that runs guest code.  It sets the process
 * up, locks it down, and from then on does one thing: turn every signal into an exit for the VMM
 * and every reply into a return to the guest.  Freestanding: no libc, no SSE (the FPU belongs to
 * the guest), no state beyond the share area.
 *
 * After lock-down the runner may call only rt_sigreturn and futex on the turn word; anything else,
 * and any system call that is not x86-64, is a SIGSYS, i.e. an exit.
 */
#include <asm/prctl.h>
#include <asm/sigcontext.h>
#include <asm/unistd.h>
#include <linux/audit.h>
#include <linux/auxvec.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/mman.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <stddef.h>

#include "vmm/world/share.h"

#define SIGNALS(X) X(4) X(5) X(7) X(8) X(11) X(31) X(WORLD_KICK_SIGNAL)
#define SA_FLAGS   (0x4 | 0x08000000 | 0x04000000) /* SA_SIGINFO | SA_ONSTACK | SA_RESTORER */

#define FLAG_NT 0x4000
#define FLAG_AC 0x40000
#define FLAG_ID 0x200000

#define CTL  ((const volatile struct world_ctl *)WORLD_SHARE_ADDR)
#define XCHG ((struct world_xchg *)(WORLD_SHARE_ADDR + WORLD_PAGE))

_Static_assert(offsetof(struct world_ctl, map_seq) == CTL_MAP_SEQ, "mapper offset");
_Static_assert(offsetof(struct world_ctl, map_count) == CTL_MAP_COUNT, "mapper offset");
_Static_assert(offsetof(struct world_ctl, req) == CTL_REQ, "mapper offset");
_Static_assert(sizeof(struct world_request) == CTL_REQ_SIZE, "mapper offset");
_Static_assert(offsetof(struct world_xchg, map_error) == XCHG_MAP_ERROR, "mapper offset");
_Static_assert(offsetof(struct world_xchg, map_index) == XCHG_MAP_INDEX, "mapper offset");
_Static_assert(sizeof(struct world_regs) <= 64, "the registers fit one cache line");
_Static_assert(sizeof(struct world_exit) <= 64, "the exit fits one cache line");
_Static_assert(sizeof(struct world_ctl) <= WORLD_PAGE, "control page");
_Static_assert(sizeof(struct world_xchg) <= WORLD_PAGE, "exchange page");

/* The kernel's layouts for a 64-bit signal frame (asm/ucontext.h has no libc-free form). */
struct kernel_sigaction {
	void (*handler)(int, void *, void *);
	unsigned long flags;
	void (*restorer)(void);
	unsigned long mask;
};

struct kernel_ucontext {
	unsigned long flags;
	struct kernel_ucontext *link;
	struct {
		void *sp;
		int flags;
		size_t size;
	} stack;
	struct sigcontext_64 mc;
};

struct kernel_siginfo {
	int signo, error, code, pad;
	uint64_t call_addr; /* SIGSYS */
	int syscall;
	unsigned arch;
};

extern void signal_return(void);
extern long spawn_mapper(unsigned long flags);
extern const struct sock_fprog mapper_prog;
void world_start(unsigned long *stack) __attribute__((noreturn));

static long sys6(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "0"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}
#define sys3(nr, a, b, c) sys6(nr, (long)(a), (long)(b), (long)(c), 0, 0, 0)

static uint64_t rdtsc(void)
{
	uint32_t lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (uint64_t)hi << 32 | lo;
}

/* ---- the two system-call filters ---- */

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define LOAD_ARG(n) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[n]))
#define LOAD_ARG_HI(n) \
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[n]) + 4)
#define IF_EQ(val, yes, no)   BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (val), (yes), (no))
#define IF_ANY(bits, yes, no) BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, (bits), (yes), (no))
#define RET(what)             BPF_STMT(BPF_RET | BPF_K, (what))

/*
 * Of futex only waiting and waking, and on the turn word: to requeue the mapper's sleep, or to wait
 * in its place, would take the VMM's requests away from it.
 */
#define TURN_ADDR (WORLD_SHARE_ADDR + WORLD_PAGE)
_Static_assert(offsetof(struct world_xchg, turn) == 0, "address of the turn word");
static const struct sock_filter runner_filter[] = {
	LOAD(arch),
	IF_EQ(AUDIT_ARCH_X86_64, 0, 10),
	LOAD(nr),
	IF_EQ(__NR_rt_sigreturn, 9, 0),
	IF_EQ(__NR_futex, 0, 7),
	LOAD_ARG(0),
	IF_EQ(TURN_ADDR & 0xffffffff, 0, 5),
	LOAD_ARG_HI(0),
	IF_EQ(TURN_ADDR >> 32, 0, 3),
	LOAD_ARG(1),
	IF_EQ(FUTEX_WAIT, 2, 0),
	IF_EQ(FUTEX_WAKE, 1, 0),
	RET(SECCOMP_RET_TRAP),
	RET(SECCOMP_RET_ALLOW),
};

/*
 * The address-space calls are held to the low 4 GiB: argument 0 has no high half.  Only guest RAM
 * may be mapped executable, never what is shared with other programs of the host.
 */
static const struct sock_filter mapper_filter[] = {
	LOAD(arch),
	IF_EQ(AUDIT_ARCH_X86_64, 0, 14),
	LOAD(nr),
	IF_EQ(__NR_futex, 13, 0),
	IF_EQ(__NR_modify_ldt, 12, 0),
	IF_EQ(__NR_munmap, 8, 0),
	IF_EQ(__NR_mmap, 3, 0),
	IF_EQ(__NR_write, 0, 8),
	LOAD_ARG(0),
	IF_EQ(WORLD_FD_DONE, 7, 6),
	LOAD_ARG(2),
	IF_ANY(PROT_EXEC, 0, 2),
	LOAD_ARG(4),
	IF_EQ(WORLD_FD_RAM, 0, 2),
	LOAD_ARG_HI(0),
	IF_EQ(0, 1, 0),
	RET(SECCOMP_RET_KILL_PROCESS),
	RET(SECCOMP_RET_ALLOW),
};

static const struct sock_fprog runner_prog = { sizeof(runner_filter) / sizeof(runner_filter[0]),
					       (struct sock_filter *)runner_filter };
const struct sock_fprog mapper_prog = { sizeof(mapper_filter) / sizeof(mapper_filter[0]),
					(struct sock_filter *)mapper_filter };

/* ---- the exit path ---- */

/* Give the turn to the VMM and wait until it comes back. */
static void hand_over(struct world_xchg *x)
{
	uint32_t spin = CTL->runner_spin;

	__atomic_store_n(&x->turn, TURN_VMM, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&x->vmm_sleeps, __ATOMIC_SEQ_CST))
		sys3(__NR_futex, &x->turn, FUTEX_WAKE, 1);

	for (uint32_t i = 0; i < spin; i++) {
		if (__atomic_load_n(&x->turn, __ATOMIC_ACQUIRE) == TURN_RUNNER)
			return;
		__asm__ volatile("pause");
	}
	__atomic_store_n(&x->runner_sleeps, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&x->turn, __ATOMIC_SEQ_CST) != TURN_RUNNER)
		sys6(__NR_futex, (long)&x->turn, FUTEX_WAIT, TURN_VMM, 0, 0, 0);
	__atomic_store_n(&x->runner_sleeps, 0, __ATOMIC_RELAXED);
}

/*: 70. Where a trap lands
 * The guest executed cli at ring 3. The CPU raised #GP, Linux made it a SIGSEGV, and here it
 * arrives, in the world, on a stack that the guest cannot reach. Registers out, turn away, wait,
 * registers in, and sigreturn goes on in the guest.
 */
static void on_signal(int signo, void *info, void *context)
{
	struct kernel_siginfo *si = info;
	struct sigcontext_64 *mc = &((struct kernel_ucontext *)context)->mc;
	struct world_xchg *x = XCHG;
	struct world_exit *e = &x->exit;
	struct world_regs *r = &x->regs;

	e->tsc_trap = rdtsc();
	/*
	 * A user-mode popf may have set flags that the kernel leaves on in a handler and sigreturn
	 * does not restore: AC would fault in here, NT and ID would stay for ever.
	 */
	if (mc->flags & (FLAG_NT | FLAG_AC | FLAG_ID))
		__asm__ volatile("pushq $2\n\tpopfq" : : : "cc", "memory");
	e->signo = signo;
	e->code = si->code;
	e->trapno = mc->trapno;
	e->error = mc->err;
	e->cr2 = mc->cr2;
	e->rip_high = mc->ip >> 32;
	e->sys_nr = si->syscall;
	e->sys_arch = si->arch;
	e->fpu_offset = (uint64_t)mc->fpstate - WORLD_SHARE_ADDR;
	r->gpr[0] = mc->ax;
	r->gpr[1] = mc->cx;
	r->gpr[2] = mc->dx;
	r->gpr[3] = mc->bx;
	r->gpr[4] = mc->sp;
	r->gpr[5] = mc->bp;
	r->gpr[6] = mc->si;
	r->gpr[7] = mc->di;
	r->eip = mc->ip;
	r->eflags = mc->flags;
	r->seg[1] = mc->cs;
	r->seg[2] = mc->ss;
	/* The 64-bit frame leaves these out; they are still the guest's. */
	__asm__ volatile("mov %%es, %0" : "=r"(r->seg[0]));
	__asm__ volatile("mov %%ds, %0" : "=r"(r->seg[3]));
	__asm__ volatile("mov %%fs, %0" : "=r"(r->seg[4]));
	__asm__ volatile("mov %%gs, %0" : "=r"(r->seg[5]));

	hand_over(x);

	e->tsc_resume = rdtsc();
	mc->ax = r->gpr[0];
	mc->cx = r->gpr[1];
	mc->dx = r->gpr[2];
	mc->bx = r->gpr[3];
	mc->sp = r->gpr[4];
	mc->bp = r->gpr[5];
	mc->si = r->gpr[6];
	mc->di = r->gpr[7];
	mc->ip = r->eip;
	mc->flags = r->eflags;
	mc->cs = r->seg[1];
	mc->ss = r->seg[2];
	/* What sigreturn does not restore stays as it is when it is called. */
	if (r->eflags & (FLAG_NT | FLAG_ID))
		__asm__ volatile("pushq %0\n\tpopfq"
				 :
				 : "r"((uint64_t)(2 | (r->eflags & (FLAG_NT | FLAG_ID))))
				 : "cc", "memory");
	__asm__ volatile("mov %0, %%es" : : "r"(r->seg[0]));
	__asm__ volatile("mov %0, %%ds" : : "r"(r->seg[3]));
	__asm__ volatile("mov %0, %%fs" : : "r"(r->seg[4]));
	__asm__ volatile("mov %0, %%gs" : : "r"(r->seg[5]));
}

/* ---- set-up ---- */

static void die(int status)
{
	sys3(__NR_exit_group, status, 0, 0);
}

static void move_vdso(unsigned long vdso)
{
	/* The image is 1-4 pages; a length that is too long spans a hole and is refused. */
	for (long len = 4 * WORLD_PAGE; len; len -= WORLD_PAGE)
		if (sys6(__NR_mremap, (long)vdso, len, len, MREMAP_MAYMOVE | MREMAP_FIXED,
			 WORLD_VDSO_ADDR, 0) == WORLD_VDSO_ADDR)
			return;
}

/* SDM Vol. 2A, CPUID, leaf 1: ECX bit 31 is not used by CPUs, and set by hypervisors. */
static int under_hypervisor(void)
{
	uint32_t eax = 1, ebx, ecx = 0, edx;

	__asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
	return ecx >> 31;
}

static void set_handlers(void)
{
	struct kernel_sigaction sa = {
		.handler = on_signal, .flags = SA_FLAGS, .restorer = signal_return, .mask = ~0ul
	};
	struct {
		unsigned long sp;
		int flags;
		unsigned long size;
	} alt = { WORLD_SHARE_ADDR + WORLD_STACK_OFFSET, 0, WORLD_STACK_SIZE };
	unsigned long none = 0;

	if (sys3(__NR_sigaltstack, &alt, 0, 0))
		die(121);
#define HANDLE(n)                                              \
	if (sys6(__NR_rt_sigaction, n, (long)&sa, 0, 8, 0, 0)) \
		die(122);
	SIGNALS(HANDLE)
	sys6(__NR_rt_sigprocmask, 2 /* SIG_SETMASK */, (long)&none, 0, 8, 0, 0);
}

/*
 * Entered on the boot stack with the initial stack pointer: argc argv envp auxv.
 * Exit statuses 120-126 say which step the host refused (see spawn.c).
 */
void world_start(unsigned long *stack)
{
	unsigned long all = ~0ul, vdso = 0, top = (unsigned long)stack;
	unsigned long *p = stack + 1 + stack[0] + 1;
	long mapper;

	while (*p)
		p++;
	for (p++; p[0] != AT_NULL; p += 2) {
		if (p[0] == AT_SYSINFO_EHDR)
			vdso = p[1];
		if (p[0] == AT_EXECFN)
			top = p[1];
	}

	/* Until the handlers stand and the mapper has inherited "everything blocked". */
	sys6(__NR_rt_sigprocmask, 2, (long)&all, 0, 8, 0, 0);
	sys3(__NR_prctl, PR_SET_PDEATHSIG, 9, 0);
	if (sys6(__NR_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0))
		die(120);

	/* Control page read-only, the rest writable. */
	if (sys6(__NR_mmap, WORLD_SHARE_ADDR, WORLD_PAGE, PROT_READ, MAP_SHARED | MAP_FIXED,
		 WORLD_FD_SHARE, 0) != WORLD_SHARE_ADDR ||
	    sys6(__NR_mmap, WORLD_SHARE_ADDR + WORLD_PAGE, WORLD_SHARE_SIZE - WORLD_PAGE,
		 PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, WORLD_FD_SHARE,
		 WORLD_PAGE) != WORLD_SHARE_ADDR + WORLD_PAGE)
		die(123);
	sys3(__NR_close, WORLD_FD_SHARE, 0, 0);

	if (vdso)
		move_vdso(vdso);
	/* The initial stack: nothing of it is needed, and it must not grow under a guest's hands.
	 */
	top = (top + 2 * WORLD_PAGE) & ~(WORLD_PAGE - 1ul);
	sys3(__NR_munmap, top - (1l << 20), 1l << 20, 0);

	mapper = spawn_mapper(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
			      CLONE_SYSVSEM);
	if (mapper < 0)
		die(124);
	XCHG->mapper_tid = (uint32_t)mapper;
	/*
	 * cpuid faults where the CPU can do that; elsewhere only the scanner makes it trap.  Not
	 * inside a virtual machine: there each switch to or from such a task writes an MSR that the
	 * outer hypervisor has to emulate (seen: 13 us a hand-off).
	 */
	if (!under_hypervisor())
		sys3(__NR_arch_prctl, ARCH_SET_CPUID, 0, 0);
	set_handlers();
	if (sys3(__NR_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW,
		 &runner_prog))
		die(126);

	/* The first exit; the VMM's reply is the guest's initial state. */
	__asm__ volatile("ud2");
	__builtin_unreachable();
}
