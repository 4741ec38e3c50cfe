/* SPDX-License-Identifier: MIT */
/*
 * Running 32-bit code on the real CPU: see native.h.
 *
 * The way in: native_enter() saves the host's registers and its stack pointer, loads the guest's
 * and does iretq to compatibility mode.  The way out is always a signal.  The kernel does not
 * restore segment registers for a handler, and the guest had its own FS (so no thread-local
 * storage, so no C): native_sigentry, in assembly, puts them back first.  Then on_signal() copies
 * the registers and edits the signal frame so that sigreturn itself lands behind native_enter()
 * on the host's stack, with signal mask and alternate stack as they were.
 */
#include "tests/native.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/ucontext.h>
#include <asm/prctl.h>
#include <unistd.h>

#define CS32 0x23
#define CS64 0x33

/* Shared with the assembly below; under native_lock. */
struct native_shared {
	uint64_t host_rsp;
	uint64_t host_fs_base;
	uint32_t gpr[GPR_COUNT];
	uint64_t eflags;
	uint16_t sreg[8];      /* the guest's, in enum seg order */
	uint16_t host_sreg[8]; /* ours, in the same order */
	uint8_t fx[512] __attribute__((aligned(16)));
};

extern struct native_shared native_shared;
struct native_shared native_shared;

void native_enter(void);
void native_landing(void);
void native_sigentry(int signo, siginfo_t *si, void *uc);
void native_on_signal(int signo, siginfo_t *si, void *uc);

_Static_assert(offsetof(struct native_shared, gpr) == 16, "used in assembly");
_Static_assert(offsetof(struct native_shared, eflags) == 48, "used in assembly");
_Static_assert(offsetof(struct native_shared, sreg) == 56, "used in assembly");
_Static_assert(offsetof(struct native_shared, host_sreg) == 72, "used in assembly");
_Static_assert(offsetof(struct native_shared, fx) == 96, "used in assembly");

__asm__(".pushsection .text\n"
	".globl native_enter, native_landing, native_sigentry\n"
	".hidden native_enter, native_landing, native_sigentry\n"
	"native_enter:\n"
	"	push %rbx\n push %rbp\n push %r12\n push %r13\n push %r14\n push %r15\n"
	"	lea native_shared(%rip), %r8\n"
	"	mov %rsp, (%r8)\n"
	"	fxsave64 96(%r8)\n"
	"	mov %es, 72(%r8)\n mov %ds, 78(%r8)\n mov %fs, 80(%r8)\n mov %gs, 82(%r8)\n"
	/* the iretq frame: ss, rsp, rflags, cs, rip */
	"	pushq $0x2b\n"
	"	mov 32(%r8), %eax\n push %rax\n"
	"	pushq 48(%r8)\n"
	"	pushq $0x23\n"
	"	pushq $0x100000\n"
	"	mov 56(%r8), %es\n mov 62(%r8), %ds\n mov 64(%r8), %fs\n mov 66(%r8), %gs\n"
	"	mov 16(%r8), %eax\n mov 20(%r8), %ecx\n mov 24(%r8), %edx\n mov 28(%r8), %ebx\n"
	"	mov 36(%r8), %ebp\n mov 40(%r8), %esi\n mov 44(%r8), %edi\n"
	"	iretq\n"
	"native_landing:\n" /* sigreturn comes here, RSP as saved above */
	"	fxrstor64 96+native_shared(%rip)\n"
	"	pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbp\n pop %rbx\n"
	"	ret\n"
	"native_sigentry:\n"
	"	push %rdi\n push %rsi\n push %rdx\n"
	/*
	 * AC: the C below does unaligned accesses.  NT: sigreturn does not restore it, and with
	 * NT set the next iretq in 64-bit mode is #GP.
	 */
	"	pushfq\n andl $~0x44000, (%rsp)\n popfq\n"
	"	lea native_shared(%rip), %r8\n"
	"	mov %es, 56(%r8)\n mov %ds, 62(%r8)\n mov %fs, 64(%r8)\n mov %gs, 66(%r8)\n"
	"	mov 72(%r8), %es\n mov 78(%r8), %ds\n mov 82(%r8), %gs\n"
	"	mov $158, %eax\n mov $0x1002, %edi\n mov 8(%r8), %rsi\n" /* arch_prctl(ARCH_SET_FS)
									  */
	"	syscall\n"
	"	pop %rdx\n pop %rsi\n pop %rdi\n"
	"	jmp native_on_signal\n"
	".popsection\n");

static pthread_mutex_t native_lock = PTHREAD_MUTEX_INITIALIZER;
static struct native_trap last;
static uint32_t last_eip;
static uint64_t last_cs;

__attribute__((visibility("hidden"), no_sanitize("address", "undefined"))) void
native_on_signal(int signo, siginfo_t *si, void *uc_)
{
	static const uint8_t greg_of[GPR_COUNT] = { REG_RAX, REG_RCX, REG_RDX, REG_RBX,
						    REG_RSP, REG_RBP, REG_RSI, REG_RDI };
	ucontext_t *uc = uc_;
	greg_t *g = uc->uc_mcontext.gregs;

	(void)si;
	last.signo = signo;
	last.trapno = signo == SIGSYS ? -1 : (int)g[REG_TRAPNO];
	last.err = (uint32_t)g[REG_ERR];
	last.cr2 = (uint32_t)g[REG_CR2];
	last_eip = (uint32_t)g[REG_RIP];
	last_cs = (uint64_t)g[REG_CSGSFS] & 0xffff;
	for (int i = 0; i < GPR_COUNT; i++)
		native_shared.gpr[i] = (uint32_t)g[greg_of[i]];
	native_shared.eflags = (uint64_t)g[REG_EFL];
	native_shared.sreg[SEG_CS] = (uint16_t)last_cs;
	native_shared.sreg[SEG_SS] = (uint16_t)((uint64_t)g[REG_CSGSFS] >> 48);

	g[REG_RIP] = (greg_t)(uintptr_t)native_landing;
	g[REG_RSP] = (greg_t)native_shared.host_rsp;
	g[REG_CSGSFS] = (greg_t)(((uint64_t)0x2b << 48) | CS64);
	g[REG_EFL] = 0x202;
}

static int map_area(uint32_t gva, size_t len, int prot)
{
	void *p = mmap((void *)(uintptr_t)gva, len, prot,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (p == MAP_FAILED)
		return -errno;
	if (p != (void *)(uintptr_t)gva) { /* a kernel before 4.17 */
		munmap(p, len);
		return -EEXIST;
	}
	return 0;
}

/* Without this, int $0x80 in the code under test would be a real system call. */
static int forbid_32bit_syscalls(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
	};
	struct sock_fprog prog = { .len = sizeof(code) / sizeof(code[0]), .filter = code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) < 0)
		return -errno;
	return 0;
}

static int native_init_locked(void)
{
	static int done = 1; /* 1: not yet; else what it returned */

	if (done != 1)
		return done;
	if ((done = map_area(NATIVE_CODE, NATIVE_CODE_LEN, PROT_READ | PROT_WRITE | PROT_EXEC)) ||
	    (done = map_area(NATIVE_DATA, NATIVE_DATA_LEN, PROT_READ | PROT_WRITE)) ||
	    (done = map_area(NATIVE_STACK, NATIVE_STACK_LEN, PROT_READ | PROT_WRITE)))
		return done;
	return done = forbid_32bit_syscalls();
}

struct native_state native_state(void)
{
	struct native_state st = { .eip = NATIVE_CODE, .eflags = 0x202 };

	st.gpr[ESP] = NATIVE_ESP;
	for (int i = 0; i < SEG_COUNT; i++)
		st.sreg[i] = NATIVE_FLAT;
	st.sreg[SEG_CS] = CS32;
	return st;
}

void *native_ptr(uint32_t gva)
{
	int ret;

	pthread_mutex_lock(&native_lock);
	ret = native_init_locked();
	pthread_mutex_unlock(&native_lock);
	return ret ? NULL : (void *)(uintptr_t)gva;
}

static const int caught[] = { SIGSEGV, SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSYS, SIGVTALRM };
#define NCAUGHT (sizeof(caught) / sizeof(caught[0]))

/* Handlers, alternate stack and the timer are ours only while the code runs. */
static void run_locked(void)
{
	static uint8_t stack[65536] __attribute__((aligned(16)));
	static const struct itimerval second = { .it_value = { .tv_sec = 1 } }, off;
	stack_t ss = { .ss_sp = stack, .ss_size = sizeof(stack) }, old_ss;
	struct sigaction sa = { .sa_flags = SA_SIGINFO | SA_ONSTACK }, old[NCAUGHT];

	sa.sa_sigaction = native_sigentry;
	sigfillset(&sa.sa_mask);
	sigaltstack(&ss, &old_ss);
	for (size_t i = 0; i < NCAUGHT; i++)
		sigaction(caught[i], &sa, &old[i]);
	syscall(SYS_arch_prctl, ARCH_GET_FS, &native_shared.host_fs_base);
	setitimer(ITIMER_VIRTUAL, &second, NULL);
	native_enter();
	setitimer(ITIMER_VIRTUAL, &off, NULL);
	for (size_t i = 0; i < NCAUGHT; i++)
		sigaction(caught[i], &old[i], NULL);
	sigaltstack(&old_ss, NULL);
}

int native_run(const uint8_t *code, size_t len, struct native_state *st, struct native_trap *trap)
{
	uint8_t *page = (uint8_t *)(uintptr_t)NATIVE_CODE;
	int ret;

	if (len >= NATIVE_CODE_LEN)
		return -E2BIG;
	pthread_mutex_lock(&native_lock);
	ret = native_init_locked();
	if (ret)
		goto out;
	memset(page, 0xcc, NATIVE_CODE_LEN);
	memcpy(page, code, len);
	memcpy(native_shared.gpr, st->gpr, sizeof(st->gpr));
	memcpy(native_shared.sreg, st->sreg, sizeof(st->sreg));
	native_shared.eflags = (st->eflags & 0x00244dd5) | 0x202;

	run_locked();

	memcpy(st->gpr, native_shared.gpr, sizeof(st->gpr));
	memcpy(st->sreg, native_shared.sreg, sizeof(st->sreg));
	st->eflags = (uint32_t)native_shared.eflags;
	st->eip = last_eip;
	if (trap)
		*trap = last;
	ret = NATIVE_TRAPPED;
	if (last.signo == SIGVTALRM) {
		ret = -ETIMEDOUT;
	} else if (last.trapno == 3 && last_eip == NATIVE_CODE + len + 1) {
		st->eip = (uint32_t)(NATIVE_CODE + len);
		ret = NATIVE_DONE;
	}
out:
	pthread_mutex_unlock(&native_lock);
	return ret;
}
