/* SPDX-License-Identifier: MIT */
/* Several vCPUs on the same RAM: start-up, shared code pages, locked instructions. */
#include <pthread.h>

#include "tests/raw_guest.h"

#define SMP_AP 0x8000u /* where the application processors start: vector 8 */

TestSuite(smp, .timeout = 60);

struct smp {
	struct cg g;
	struct vcpu ap[3];
	pthread_t thread[3];
	unsigned aps;
};

/* Port 0xf6: SIPI with the vector written to every application processor. */
static void smp_sipi(void *dev, uint64_t off, unsigned width, uint32_t val)
{
	struct smp *s = dev;

	(void)off;
	(void)width;
	for (unsigned i = 0; i < s->aps; i++)
		vcpu_sipi(&s->ap[i], (uint8_t)val);
}

static bool smp_traps_pause;

static void *smp_thread(void *arg)
{
	vcpu_run(arg); /* makes its engine, too */
	return NULL;
}

/* @ap: 16-bit real-mode code for SMP_AP. */
static void smp_run(struct smp *s, unsigned aps, const uint8_t *code, const uint8_t *end,
		    const uint8_t *ap, const uint8_t *ap_end)
{
	struct bus_range r = {
		.name = "sipi", .base = 0xf6, .len = 1, .dev = s, .read = cg_read, .write = smp_sipi
	};

	memset(s, 0, sizeof(*s));
	cg_load(&s->g, code, end);
	cr_assert_eq(bus_add(&s->g.vm.pio, &r), 0);
	s->g.vm.pause_trap = smp_traps_pause;
	memcpy(s->g.vm.ram + SMP_AP, ap, (size_t)(ap_end - ap));
	s->aps = aps;
	for (unsigned i = 0; i < aps; i++) {
		struct vcpu *v = &s->ap[i];

		v->vm = &s->g.vm;
		v->id = i + 1;
		v->account = account_new();
		vcpu_reset(v);
		v->wait_sipi = true;
		v->regs.gpr[EDI] = i + 1; /* tells the guest which one it is */
		s->g.vm.vcpu[i + 1] = v;
	}
	s->g.vm.vcpus = aps + 1;
	for (unsigned i = 0; i < aps; i++)
		pthread_create(&s->thread[i], NULL, smp_thread, &s->ap[i]);
	cg_go(&s->g);
	for (unsigned i = 0; i < aps; i++)
		pthread_join(s->thread[i], NULL);
}

static void smp_free(struct smp *s)
{
	for (unsigned i = 0; i < s->aps; i++) {
		shadow_free(&s->ap[i]);
		account_free(s->ap[i].account);
	}
	cg_free(&s->g);
}

/* Real-mode start: own stack, protected mode with the GDT at 0x8800, on to 0x100800. */
#define AP_START                                                                               \
	".code16\n cli\n xor %ax,%ax\n mov %ax,%ds\n pushf\n pop %bx\n mov %cs,%dx\n"          \
	"lgdtl 0x8800\n mov %cr0,%eax\n or $1,%eax\n mov %eax,%cr0\n"                          \
	"ljmpl $0x08,$(0x8000 + 7f - base)\n .code32\n 7: mov $0x10,%ax\n mov %ax,%ds\n"       \
	"mov %ax,%es\n mov %ax,%ss\n mov %edi,%eax\n shl $12,%eax\n lea 0x300000(%eax),%esp\n" \
	"mov $0x100800,%eax\n jmp *%eax\n .fill 0x800 - (. - base), 1, 0\n"                    \
	".word 23\n .long 0x8808\n .word 0\n .quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff\n"

GUEST(smp_ap, AP_START);
GUEST(smp_count,
      "mov $8,%al\n out %al,$0xf6\n 1: pause\n cmpl $3,0x280004\n jne 1b\n mov 0x280000,%ebx\n" DONE
      ".fill 0x800 - (. - base), 1, 0x90\n"
      "mov $20000,%ecx\n 2: lock incl 0x280000\n loop 2b\n lock incl 0x280004\n 3: jmp 3b\n");

Test(smp, processors_start_and_share_memory)
{
	static struct smp s;

	smp_run(&s, 3, smp_count, smp_count_end, smp_ap, smp_ap_end);
	cr_expect_eq(REG(&s.g, EBX), 60000);
	for (unsigned i = 0; i < 3; i++) {
		cr_expect_eq(s.ap[i].regs.gpr[EDX] & 0xffff, 0x800, "CS in real mode");
		cr_expect_not(s.ap[i].regs.gpr[EBX] & FL_IF, "pushf in real mode is the guest's");
		cr_expect(s.ap[i].sh.cr0 & CR0_PE);
	}
	smp_free(&s);
}

GUEST(smp_code,
      "movl $0x00c35850,0x110000\n"
      "mov $8,%al\n out %al,$0xf6\n 1: pause\n cmpl $2,0x280004\n jne 1b\n"
      /* Rewrite code that the others execute: pushf; pop; ret and push; pop; ret in turn. */
      "mov $1000,%ecx\n 2: movl $0xc3589c,0x110000\n movl $0x00c35850,0x110000\n loop 2b\n"
      "movl $1,0x280008\n 4: pause\n cmpl $4,0x280004\n jne 4b\n mov 0x28000c,%ebx\n" DONE
      ".fill 0x700 - (. - base), 1, 0x90\n .fill 0x100, 1, 0x90\n"
      "movl $0x00c35850,%eax\n lock incl 0x280004\n mov $0x110000,%edx\n"
      "5: mov $0x100000,%eax\n call *%edx\n cmp $0x00200000,%eax\n jae 6f\n test "
      "$0x200,%eax\n jnz 6f\n"
      "cmpl $1,0x280008\n jne 5b\n lock incl 0x280004\n 3: jmp 3b\n"
      "6: lock incl 0x28000c\n lock incl 0x280004\n jmp 3b\n");
/*
 * The others see either version: what was in EAX, or their own flags with IF clear (IF set would be
 * the host's, from a pushf that did not trap).  And no #GP, without an IDT the end, although the
 * trap was on a pushf and a push is there when it is looked at.
 */
Test(smp, code_rewritten_while_others_execute_it)
{
	static struct smp s;

	memset(&s, 0, sizeof(s));
	smp_run(&s, 2, smp_code, smp_code_end, smp_ap, smp_ap_end);
	cr_expect_eq(REG(&s.g, EBX), 0);
	smp_free(&s);
}

/* Between a vCPU's fault on a code page and its handling, another one may have dropped the page. */
Test(smp, code_page_dropped_before_the_write_fault_is_handled)
{
	static struct cg g;

	cg_load(&g, smp_count, smp_count_end);
	cr_assert_eq(shadow_attach(&g.v), 0);
	cr_expect_eq(code_write_fault(&g.v, 0x110000, 0x110000), CODE_WRITE_DROPPED);
	cg_free(&g);
}

/*
 * The same addition natively on two vCPUs and emulated on the first, where the constant of the
 * instruction is also executed (pushf; pop; ret), so that it has to be patched.
 */
#define LOCKED_ADD "lock addl $0xc3589c01,0x280000\n"
GUEST(smp_mixed, "mov $8,%al\n out %al,$0xf6\n call 2f+8\n 1: pause\n cmpl $2,0x280008\n jne 1b\n"
		 "movl $1,0x28000c\n mov $3000,%ecx\n 2: " LOCKED_ADD " loop 2b\n"
		 "3: pause\n cmpl $2,0x280004\n jne 3b\n mov 0x280000,%ebx\n" DONE
		 ".fill 0x800 - (. - base), 1, 0x90\n"
		 "lock incl 0x280008\n 4: pause\n cmpl $1,0x28000c\n jne 4b\n"
		 "mov $100000,%ecx\n 5: " LOCKED_ADD " loop 5b\n lock incl 0x280004\n 6: jmp 6b\n");

Test(smp, locked_instructions_native_and_emulated_are_atomic)
{
	static struct smp s;

	smp_run(&s, 2, smp_mixed, smp_mixed_end, smp_ap, smp_ap_end);
	cr_expect_eq(REG(&s.g, EBX), 203000 * 0xc3589c01u, "%#x", REG(&s.g, EBX));
	cr_expect_geq(account_count(s.g.v.account, CAUSE_ORIGINAL), 3000);
	cr_expect_eq(account_count(s.ap[0].account, CAUSE_ORIGINAL), 0);
	smp_free(&s);
}

/* The variable lies in a page that is executed: every write to it is emulated. */
GUEST(smp_codevar, "mov $8,%al\n out %al,$0xf6\n mov $2000,%ecx\n 1: lock incl 0x100f00\n loop 1b\n"
		   "2: pause\n cmpl $2,0x280004\n jne 2b\n mov 0x100f00,%ebx\n" DONE
		   ".fill 0x800 - (. - base), 1, 0x90\n"
		   "mov $2000,%ecx\n 3: mov $-1,%eax\n lock xadd %eax,0x100f00\n"
		   "4: mov 0x100f00,%eax\n lea 2(%eax),%edx\n lock cmpxchg %edx,0x100f00\n jne 4b\n"
		   "loop 3b\n lock incl 0x280004\n 6: jmp 6b\n"
		   ".fill 0xf00 - (. - base), 1, 0x90\n .long 0\n");

Test(smp, locked_instructions_on_a_code_page_are_atomic)
{
	static struct smp s;

	smp_run(&s, 2, smp_codevar, smp_codevar_end, smp_ap, smp_ap_end);
	cr_expect_eq(REG(&s.g, EBX), 6000, "%u", REG(&s.g, EBX));
	cr_expect_geq(account_count(s.g.v.account, CAUSE_CODE_WRITE), 2000);
	smp_free(&s);
}

/* vm->pause_trap: each PAUSE of the kernel's that waits is a trap, and nobody starves. */
Test(smp, pause_traps_if_asked_to)
{
	static struct smp s;

	for (unsigned trap = 0; trap < 2; trap++) {
		smp_traps_pause = trap;
		smp_run(&s, 3, smp_count, smp_count_end, smp_ap, smp_ap_end);
		cr_expect_eq(REG(&s.g, EBX), 60000);
		cr_expect_eq(account_count(s.g.v.account, CAUSE_INSN(OP_PAUSE)) > 0, trap);
		smp_free(&s);
	}
}
