/* SPDX-License-Identifier: MIT */
/* Part D: guests that run on the student's file, small ones and an operating system. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lab/D/tests.h"
#include "lab/grade/item.h"
#include "tests/paging_guest.h"
#include "vmm/mmu_priv.h"
#include "vmm/trace.h"

static struct cg g;

/* Ends a guest that does not end itself. */
struct watch {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool done;
};

static void *watch_main(void *arg)
{
	struct watch *w = arg;
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 1;
	pthread_mutex_lock(&w->lock);
	while (!w->done && pthread_cond_timedwait(&w->changed, &w->lock, &until) == 0)
		;
	if (!w->done) {
		vm_end(&g.vm, VM_TIMEOUT, 0);
		vcpu_kick(&g.v);
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

static void note_exits(void)
{
	struct trace_entry e[TRACE_RING];
	size_t n = trace_last(g.v.trace, e), first = n > 10 ? n - 10 : 0;

	NOTE("the last exits:");
	for (size_t i = first; i < n; i++) {
		char insn[104], cause[32];

		trace_insn_text(&e[i], insn, sizeof(insn));
		NOTE("  eip %#x  %s  %s, at %#x", e[i].eip, insn,
		     cause_name(e[i].cause, cause, sizeof(cause)), e[i].error);
	}
}

/* Run the guest until it ends itself, a second at most; then the trace is in the notes. */
static void run_guest(void)
{
	struct watch w = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };
	char err[200];

	g.v.trace = trace_new(NULL, TRACE_TEXT, err, sizeof(err));
	pthread_create(&w.thread, NULL, watch_main, &w);
	vcpu_run(&g.v);
	pthread_mutex_lock(&w.lock);
	w.done = true;
	pthread_cond_signal(&w.changed);
	pthread_mutex_unlock(&w.lock);
	pthread_join(w.thread, NULL);
	note_exits();
	if (atomic_load(&g.vm.end) == VM_TIMEOUT)
		LOSE("the guest did not come to its end in 1 s; it is at %#x", g.v.regs.eip);
	if (atomic_load(&g.vm.end) != VM_EXITED)
		LOSE("expected that the guest comes to its end, got \"%s\"; it was at %#x",
		     g.vm.death, g.v.regs.eip);
}

/* Record @n must be a page fault with @code at @addr. */
static void want_fault(unsigned n, uint32_t code, uint32_t addr, const char *what)
{
	const struct pk_record *r = pk_record(&g, n);

	if (n >= pk_records(&g) || r->vector != VEC_PF)
		LOSE("%s: expected #PF with error code %s, got none", what, code_text(code));
	if (r->error != code || r->cr2 != addr)
		LOSE("%s: expected #PF with error code %s, CR2 %#x, got %s, CR2 %#x", what,
		     code_text(code), addr, code_text(r->error), r->cr2);
}

/* clang-format off */
#define RELOAD "mov %cr3,%eax\n mov %eax,%cr3\n"
#define WP_OFF "mov %cr0,%eax\n and $~0x10000,%eax\n mov %eax,%cr0\n"
#define WP_ON  "mov %cr0,%eax\n or $0x10000,%eax\n mov %eax,%cr0\n"

/*
 * 0x300 is read-only for the kernel, and dirty; 0x301 the user's, read-only; 0x302 the kernel's, beside it and
 * accessed; 0x303 the user's, absent.
 */
GUEST(dg_faults, PK_KERNEL PK_PAGING
      PK_TRY("mov 0x500004,%eax") PK_TRY("movl $1,0x500004")
      "mov 0x300000,%eax\n" PK_TRY("movl $5,0x300008")
      WP_OFF "movl $7,0x300008\n" WP_ON "mov 0x300008,%ebx\n mov 0x302000,%eax\n"
      PK_TO_USER("1f") ".balign 4096\n 1: mov 0x301000,%ecx\n"
      PK_TRY("mov 0x302000,%eax") PK_TRY("movl $1,0x300000") PK_TRY("movl $1,0x301000")
      PK_TRY("mov 0x303010,%eax") PK_TRY("mov 0x500000,%eax") PK_END);
/* clang-format on */

ITEM(guest_faults)
{
	need_walk();
	PK_LOAD(&g, dg_faults);
	*pk_pte(&g, 0x300000) = 0x300061;
	*pk_pte(&g, 0x301000) = 0x301005;
	*pk_pte(&g, 0x303000) = 0x303006;
	*pk_word(&g, 0x301000) = 301;
	run_guest();
	want_fault(0, 0, 0x500004, "the kernel reads where no page is");
	want_fault(1, PF_WRITE, 0x500004, "the kernel writes where no page is");
	want_fault(2, PF_PRESENT | PF_WRITE, 0x300008,
		   "the kernel writes to a read-only page, CR0.WP=1");
	WANT(REG(&g, EBX), 7, "the kernel wrote 7 to a read-only page with CR0.WP=0, it reads");
	WANT(REG(&g, ECX), 301, "user code reads a page with U/S=1, R/W=0");
	want_fault(3, PF_PRESENT | PF_USER, 0x302000,
		   "user code reads a page of the kernel, which is beside one of its own");
	want_fault(4, PF_PRESENT | PF_USER | PF_WRITE, 0x300000,
		   "user code writes to a page of the kernel");
	want_fault(5, PF_PRESENT | PF_USER | PF_WRITE, 0x301000,
		   "user code writes to a read-only page");
	want_fault(6, PF_USER, 0x303010, "user code reads a page that is not present");
	want_fault(7, PF_USER, 0x500000, "user code reads where there is no page table");
	WANT(pk_records(&g), 9, "exceptions in all, and the int $0x20 at the end");
	cg_free(&g);
}

/* clang-format off */
/* 0x300 ... are supervisor pages, clean; a run of neighbours is prefilled when the first is touched */
GUEST(dg_marks, PK_KERNEL PK_PAGING
      "mov 0x300000,%eax\n mov 0x11000+4*0x300,%ebx\n"               /* read: A */
      "movl $1,0x300000\n mov 0x11000+4*0x300,%ecx\n"                /* and written: D, too */
      "mov 0x302000,%eax\n mov 0x11000+4*0x303,%edx\n"               /* its neighbour: nothing */
      "mov 0x303000,%eax\n mov 0x11000+4*0x303,%esi\n"               /* until it is read */
      "movl $1,0x304000\n andl $~0x60,0x11000+4*0x304\n" RELOAD      /* cleaned: the next write */
      "movl $2,0x304000\n mov 0x11000+4*0x304,%edi\n" PK_END);       /* sets it again */
/* clang-format on */

ITEM(guest_marks)
{
	need_walk();
	PK_LOAD(&g, dg_marks);
	run_guest();
	WANT(REG(&g, EBX) & 0x60, 0x20, "A and D (0x60) in the PTE of a page that was read");
	WANT(REG(&g, ECX) & 0x60, 0x60, "A and D in the PTE after a write to a page read before");
	WANT(REG(&g, EDX) & 0x60, 0, "A and D in the PTE of a page beside one that was read");
	WANT(REG(&g, ESI) & 0x60, 0x20, "A and D in its PTE when it was read, too");
	WANT(REG(&g, EDI) & 0x60, 0x60,
	     "A and D cleared by the guest, CR3 loaded, the page written again: A and D");
	cg_free(&g);
}

/* clang-format off */
/*
 * 0x300 is remapped with INVLPG, 0x302 with a load of CR3; 0xc00000 is a 4 MiB page, made small; 0x308
 * is the user's, remapped by the kernel behind a call gate; 0x12000 is a second address space.
 */
GUEST(dg_flushes, PK_KERNEL PK_CALL_GATE(0x38, "2f")
      "mov %cr4,%eax\n or $0x10,%eax\n mov %eax,%cr4\n" PK_PAGING
      "mov 0x300000,%eax\n movl $0x301003,0x11000+4*0x300\n invlpg 0x300000\n"
      "mov 0x300000,%eax\n mov %eax,0x180100\n"
      "mov 0x302000,%eax\n movl $0x301003,0x11000+4*0x302\n" RELOAD
      "mov 0x302000,%eax\n mov %eax,0x180104\n"
      "mov 0xf04000,%eax\n mov 0xc05000,%eax\n movl $0x14003,0x1000c\n invlpg 0xc00000\n"
      "mov 0xf04000,%eax\n mov %eax,0x180108\n"
      "mov $0x12000,%eax\n mov %eax,%cr3\n mov 0x306000,%eax\n mov $0x10000,%eax\n mov %eax,%cr3\n"
      "movl $0x301003,0x13000+4*0x306\n mov $0x12000,%eax\n mov %eax,%cr3\n"
      "mov 0x306000,%eax\n mov %eax,0x18010c\n mov $0x10000,%eax\n mov %eax,%cr3\n"
      PK_TO_USER("1f") ".balign 4096\n 1: mov 0x308000,%eax\n push $0\n push $0\n lcall $0x3b,$0\n"
      "mov 0x308000,%eax\n mov %eax,0x180110\n" PK_END
      ".balign 4096\n 2: mov 0x308000,%eax\n movl $0x301007,0x11000+4*0x308\n invlpg 0x308000\n"
      "mov 0x308000,%eax\n mov %eax,0x180114\n lret $8\n");
/* clang-format on */

ITEM(guest_flushes)
{
	need_walk();
	PK_LOAD(&g, dg_flushes);
	memcpy(g.vm.ram + 0x12000, g.vm.ram + PK_PD, PAGE_SIZE);
	memcpy(g.vm.ram + 0x13000, g.vm.ram + PK_PT, PAGE_SIZE);
	*pk_word(&g, 0x12000) = 0x13003;
	*pk_word(&g, PK_PD + 12) = ENTRY_PS | 3;
	*pk_word(&g, 0x14000 + 4 * 0x304) = 0x301003;
	*pk_pte(&g, 0x308000) |= 4;
	*pk_word(&g, 0x301000) = 0x1301;
	run_guest();
	WANT(*pk_word(&g, 0x180100), 0x1301, "a page remapped, and INVLPG: it reads");
	WANT(*pk_word(&g, 0x180104), 0x1301, "a page remapped, and CR3 loaded: it reads");
	WANT(*pk_word(&g, 0x180108), 0x1301,
	     "a 4 MiB page made into small ones, and INVLPG of its first byte: 3 MiB on it reads");
	WANT(*pk_word(&g, 0x18010c), 0x1301,
	     "a page remapped in another address space, which is then switched to: it reads");
	WANT(*pk_word(&g, 0x180114), 0x1301, "a user page remapped, and INVLPG: the kernel reads");
	WANT(*pk_word(&g, 0x180110), 0x1301, "a user page remapped, and INVLPG: user code reads");
	cg_free(&g);
}

/* ---- an operating system ---- */

/* What the programs forktest, lazy and crash print with the reference; tests/minios_os.c has all.
 */
static const char *const minios[] = {
	"ok memory is separate\n",
	"ok memory is separate, again\n",
	"ok eight generations\n",
	"ok a hundred, one after the other\n",
	"30 children, then error -11\n",
	"ok as many as there may be\n",
	"ok all memory came back\n",
	"ten of them written to                   10 frames\n",
	"child: the ten read, shared with parent   0 frames\n",
	"child: four written to, so copied         4 frames\n",
	"the heap given back                      -10 frames\n",
	"killed: page fault, read of 0 at ",
	"killed: page fault, write to 0 at ",
	"killed: page fault, jump to 0 at 0: not yours\n",
	"killed: page fault, read of 100000 at ",
	"killed: page fault, write to 100000 at ",
	"killed: page fault, jump to 100000 at 100000: not yours\n",
	"killed: page fault, read of 3ffff000 at ",
	"killed: page fault, read of fee00000 at ",
	": read-only\nok code-write\n",
	": nothing is there\nok heap-end\n",
	"killed: page fault, write to 7ffe",
	"killed: page fault, write to 100ffc at ",
	"ok bad-pointer\n",
	"hello from process ",
};

ITEM(boot_minios)
{
	char module[512];
	const char *out;

	need_walk();
	snprintf(module, sizeof(module), "%s/minios-programs.a",
		 getenv("GUESTS") ? getenv("GUESTS") : ".");
	out = lab_boot("minios",
		       ARGS("--module", module, "--append", "script=forktest;lazy;crash;hello"), 4,
		       33, NULL, NULL);
	for (unsigned i = 0; i < sizeof(minios) / sizeof(*minios); i++) {
		const char *at = strstr(out, minios[i]);

		if (!at)
			LOSE("minios: expected \"%.*s\" next on the console, got \"%.*s\"",
			     (int)strcspn(minios[i], "\n"), minios[i], (int)strcspn(out, "\n"),
			     out);
		out = at + strcspn(at, "\n");
		out += *out == '\n';
	}
}
