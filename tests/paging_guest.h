/* SPDX-License-Identifier: MIT */
/*
 * Small guests with paging and four rings: a kernel of one page that records every exception, and
 * the tables it needs, made by the test before the guest runs.
 *
 *   0x02e00  GDTR, 0x2f00 IDTR, 0x3000 IDT, 0x4000 GDT (PK_* below), 0x5000 TSS, 0x8000 LDT
 *   0x10000  page directory, 0x11000 page table: the low 4 MiB as they are, supervisor, writable
 *   0x180000 for all rings: number of records, then where to go on after a fault
 *   0x181000 the records
 *   0x190000 stack of ring 0, 0x18f000 of ring 1, 0x18e000 of ring 2; 0x3f0000 of ring 3
 */
#ifndef RINGSIDE_TESTS_PAGING_GUEST_H
#define RINGSIDE_TESTS_PAGING_GUEST_H

#include "tests/raw_guest.h"

#define PK_PD      0x10000u
#define PK_PT      0x11000u
#define PK_GDT     0x4000u
#define PK_TSS     0x5000u
#define PK_LDT     0x8000u
#define PK_COUNT   0x180000u
#define PK_RECORDS 0x181000u
#define PK_STACK0  0x190000u
#define PK_STACK1  0x18f000u
#define PK_STACK2  0x18e000u
#define PK_STACK3  0x3f0000u
#define PK_STUB(n) (CG_CODE + 16 + 16 * (n)) /* entry for vector n < 48 */

/* Selectors, with the RPL of their ring. */
#define PK_CS0 0x08
#define PK_DS0 0x10
#define PK_CS3 0x1b
#define PK_DS3 0x23
#define PK_CS1 0x41
#define PK_DS1 0x49
#define PK_CS2 0x52
#define PK_DS2 0x5a
#define PK_GATE3 \
	0x38 /* call gate of DPL 3 to ring 0, two parameters; PK_CALL_GATE() says where to */
#define PK_GATE1 0x68 /* of DPL 1 to ring 0 */

/* The words of a record, as pushed; SS:ESP only after a change of rings. */
struct pk_record {
	uint32_t vector, error, eip, cs, eflags, esp, ss, cr2;
};

/* clang-format off */
/*
 * Entries for vectors 0-47 and what they do: record; end after int $0x20; go on behind a trap or an
 * interrupt; after a fault go on where 0x180004 says (not in a code segment of the LDT), or end.
 */
#define PK_KERNEL                                                                \
	"jmp 901f\n .balign 16\n"                                                \
	".irp v,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,"  \
	"24,25,26,27,28,29,30,31,32,33,34,35,36,37,38,39,40,41,42,43,44,45,46,47\n" \
	".if (\\v == 8) || (\\v >= 10 && \\v <= 14) || (\\v == 17)\n"            \
	".else\n push $0\n .endif\n push $\\v\n jmp 900f\n .balign 16\n .endr\n" \
	"900: pushal\n push %ds\n push %es\n mov $0x10,%eax\n mov %eax,%ds\n"    \
	"mov %eax,%es\n cld\n mov 0x180000,%ecx\n incl 0x180000\n shl $5,%ecx\n" \
	"lea 0x181000(%ecx),%edi\n lea 40(%esp),%esi\n mov $7,%ecx\n rep movsl\n" \
	"mov %cr2,%eax\n stosl\n mov 40(%esp),%ecx\n cmp $0x20,%ecx\n je 902f\n" \
	"ja 903f\n mov $0x1e,%eax\n bt %ecx,%eax\n jc 903f\n mov 0x180004,%eax\n" \
	"test %eax,%eax\n jz 902f\n mov %eax,48(%esp)\n"                         \
	"mov 52(%esp),%eax\n and $7,%eax\n cmp $7,%eax\n jne 903f\n"            \
	"movl $0x1b,52(%esp)\n"                                                 \
	"903: pop %es\n pop %ds\n popal\n add $8,%esp\n iret\n"                  \
	"902: pop %es\n pop %ds\n popal\n" DONE                                  \
	"901: lgdt 0x2e00\n lidt 0x2f00\n mov $0x10,%eax\n mov %eax,%ds\n"       \
	"mov %eax,%es\n mov %eax,%ss\n ljmp $8,$" A("904f") "\n"                 \
	"904: mov $0x28,%eax\n ltr %ax\n mov $0x30,%eax\n lldt %ax\n"
#define PK_PAGING                                                                \
	"mov $0x10000,%eax\n mov %eax,%cr3\n mov %cr0,%eax\n or $0x80010000,%eax\n" \
	"mov %eax,%cr0\n"
/* Let the call gate @sel lead to @label. */
#define PK_CALL_GATE(sel, label)                                                 \
	"mov $" A(label) ",%eax\n mov %ax,0x4000+" #sel "\n shr $16,%eax\n"      \
	"mov %ax,0x4006+" #sel "\n"
/* To @label at ring 3, or another one; %ds and %es too. */
#define PK_TO_RING(cs, ss, stack, flags, label)                                  \
	"mov $" #ss ",%eax\n mov %eax,%ds\n mov %eax,%es\n push $" #ss "\n push $" #stack "\n" \
	"push $" #flags "\n push $" #cs "\n push $" A(label) "\n iret\n"
#define PK_TO_USER(label) PK_TO_RING(0x1b, 0x23, 0x3f0000, 0x202, label)
/* Do @insn, which may fault, and go on after it. */
#define PK_TRY(insn) "movl $" A("66f") ",0x180004\n" insn "\n 66:\n"
#define PK_END       "int $0x20\n"
/* Flush the TLB. */
#define PK_RELOAD    "mov %cr3,%eax\n mov %eax,%cr3\n"
/* clang-format on */

static inline uint32_t *pk_word(struct cg *g, uint32_t gpa)
{
	return (uint32_t *)(g->vm.ram + gpa);
}

/* The page-table entry of @gva in the low 4 MiB. */
static inline uint32_t *pk_pte(struct cg *g, uint32_t gva)
{
	return pk_word(g, PK_PT + 4 * (gva >> PAGE_SHIFT));
}

/* The words at 0x300000, 0x301000 and 0x302000 are 100, 101 and 102. */
static inline void pk_number_frames(struct cg *g)
{
	for (uint32_t i = 0; i < 3; i++)
		*pk_word(g, 0x300000 + i * PAGE_SIZE) = 100 + i;
}

/* An interrupt gate; @offset 0 for the recording entry of the vector. */
static inline void pk_gate(struct cg *g, unsigned vector, unsigned dpl, uint32_t offset)
{
	if (!offset)
		offset = PK_STUB(vector);
	*pk_word(g, 0x3000 + 8 * vector) = PK_CS0 << 16 | (offset & 0xffff);
	*pk_word(g, 0x3004 + 8 * vector) = (offset & 0xffff0000) | 0x8e00 | dpl << 13;
}

/* Load the guest and make everything above.  Page 0x101000 is for user code. */
static inline void pk_load(struct cg *g, const uint8_t *code, const uint8_t *end)
{
	static const uint64_t gdt[] = {
		0,
		0x00cf9b000000ffff, /* 08, 10: ring 0 */
		0x00cf93000000ffff,
		0x00cffb000000ffff, /* 1b, 23: ring 3 */
		0x00cff3000000ffff,
		0x0000890050000088, /* 28: TSS, with an I/O permission bitmap for ports 0-ff */
		0x00008200800000ff, /* 30: LDT */
		0x0000ec0200080000, /* 38: call gate, DPL 3, two parameters, to 08 */
		0x00cfbb000000ffff, /* 41, 49: ring 1 */
		0x00cfb3000000ffff,
		0x00cfdb000000ffff, /* 52, 5a: ring 2 */
		0x00cfd3000000ffff,
		0,                  /* 60 */
		0x0000ac0000080000, /* 68: call gate, DPL 1, to 08 */
	};

	cg_load(g, code, end);
	g->vm.dead_quietly = true;
	memcpy(g->vm.ram + PK_GDT, gdt, sizeof(gdt));
	memcpy(g->vm.ram + 0x2e00, &(uint16_t){ sizeof(gdt) - 1 }, 2);
	memcpy(g->vm.ram + 0x2e02, &(uint32_t){ PK_GDT }, 4);
	memcpy(g->vm.ram + 0x2f00, &(uint16_t){ 0x7ff }, 2);
	memcpy(g->vm.ram + 0x2f02, &(uint32_t){ 0x3000 }, 4);
	*pk_word(g, PK_TSS + 4) = PK_STACK0;
	*pk_word(g, PK_TSS + 8) = PK_DS0;
	*pk_word(g, PK_TSS + 12) = PK_STACK1;
	*pk_word(g, PK_TSS + 16) = PK_DS1;
	*pk_word(g, PK_TSS + 20) = PK_STACK2;
	*pk_word(g, PK_TSS + 24) = PK_DS2;
	*pk_word(g, PK_TSS + 100) = 0x68 << 16;
	memset(g->vm.ram + PK_TSS + 0x68, 0xff, 33);
	for (unsigned i = 0; i < 48; i++)
		pk_gate(g, i, i == 0x20 ? 3 : 0, 0);
	*pk_word(g, PK_PD) = PK_PT | 7;
	for (uint32_t i = 0; i < 1024; i++)
		*pk_word(g, PK_PT + 4 * i) = i << PAGE_SHIFT | 3;
	*pk_pte(g, PK_COUNT) |= 4;
	*pk_pte(g, CG_CODE + PAGE_SIZE) = (CG_CODE + PAGE_SIZE) | 5;
	*pk_pte(g, PK_STACK3 - PAGE_SIZE) |= 4;
}

#define PK_LOAD(g, name) pk_load(g, name, name##_end)
#define PK_RUN(g, name)           \
	do {                      \
		PK_LOAD(g, name); \
		cg_go(g);         \
	} while (0)

/* Run a guest that must die, with @says in its last sentence. */
static inline void pk_die(struct cg *g, const char *says)
{
	vcpu_run(&g->v);
	cr_expect_eq(atomic_load(&g->vm.end), VM_KILLED, "it did not die (eip %#x)", g->v.regs.eip);
	cr_expect_not_null(strstr(g->vm.death, says), "\"%s\" is not in \"%s\"", says, g->vm.death);
}

static inline unsigned pk_records(struct cg *g)
{
	return *pk_word(g, PK_COUNT);
}

static inline struct pk_record *pk_record(struct cg *g, unsigned n)
{
	return (struct pk_record *)(g->vm.ram + PK_RECORDS) + n;
}

/* The guest's byte at the EIP of record @n, moved by @delta: which instruction was it? */
static inline unsigned pk_code_at(struct cg *g, unsigned n, int delta)
{
	return g->vm.ram[(pk_record(g, n)->eip + (uint32_t)delta) % CG_RAM];
}

#define PK_EXPECT(g, n, vec, err)                                                                 \
	do {                                                                                      \
		const struct pk_record *r_ = pk_record(g, n);                                     \
		cr_expect(                                                                        \
			r_->vector == (vec) && r_->error == (uint32_t)(err),                      \
			"record %u: vector %u error %#x at %#x cr2 %#x, not vector %u error %#x", \
			(unsigned)(n), r_->vector, r_->error, r_->eip, r_->cr2, (unsigned)(vec),  \
			(unsigned)(err));                                                         \
	} while (0)
#define PK_EXPECT_PF(g, n, err, addr)                                                         \
	do {                                                                                  \
		PK_EXPECT(g, n, VEC_PF, err);                                                 \
		cr_expect_eq(pk_record(g, n)->cr2, addr, "record %u: cr2 %#x", (unsigned)(n), \
			     pk_record(g, n)->cr2);                                           \
	} while (0)

#endif
