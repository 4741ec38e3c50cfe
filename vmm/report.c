/* SPDX-License-Identifier: MIT */
/* What is printed when a VM died, or on SIGQUIT: why, its registers, how it came there, and the
 * code around EIP.
 */
#include <string.h>

#include "vmm/account.h"
#include "vmm/mem.h"
#include "vmm/trace.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

#define AROUND_BEFORE 4  /* instructions shown before EIP */
#define AROUND_AFTER  5  /* and from EIP on */
#define LOOK_BACK     40 /* bytes before EIP to look for instruction boundaries in */
#define LOOK_AHEAD    (AROUND_AFTER * INSN_MAX)

/* ---- registers ---- */

struct bit_name {
	uint32_t bit;
	const char *name;
};

static const struct bit_name eflags_bits[] = {
	{ FL_CF, "CF" }, { FL_PF, "PF" }, { FL_AF, "AF" }, { FL_ZF, "ZF" },   { FL_SF, "SF" },
	{ FL_TF, "TF" }, { FL_IF, "IF" }, { FL_DF, "DF" }, { FL_OF, "OF" },   { FL_NT, "NT" },
	{ FL_RF, "RF" }, { FL_VM, "VM" }, { FL_AC, "AC" }, { FL_VIF, "VIF" }, { FL_VIP, "VIP" },
	{ FL_ID, "ID" }, { 0, NULL },
};

static const struct bit_name cr0_bits[] = {
	{ CR0_PE, "PE" }, { CR0_MP, "MP" }, { CR0_EM, "EM" }, { CR0_TS, "TS" },
	{ CR0_ET, "ET" }, { CR0_NE, "NE" }, { CR0_WP, "WP" }, { CR0_AM, "AM" },
	{ CR0_NW, "NW" }, { CR0_CD, "CD" }, { CR0_PG, "PG" }, { 0, NULL },
};

static const struct bit_name cr4_bits[] = {
	{ CR4_VME, "VME" },
	{ CR4_PVI, "PVI" },
	{ CR4_TSD, "TSD" },
	{ CR4_DE, "DE" },
	{ CR4_PSE, "PSE" },
	{ CR4_PAE, "PAE" },
	{ CR4_MCE, "MCE" },
	{ CR4_PGE, "PGE" },
	{ CR4_PCE, "PCE" },
	{ CR4_OSFXSR, "OSFXSR" },
	{ CR4_OSXMMEXCPT, "OSXMMEXCPT" },
	{ CR4_OSXSAVE, "OSXSAVE" },
	{ 0, NULL },
};

static void print_bits(uint32_t val, const struct bit_name *names, FILE *f)
{
	const char *sep = "";

	fputc('[', f);
	for (; names->name; names++) {
		if (!(val & names->bit))
			continue;
		fprintf(f, "%s%s", sep, names->name);
		sep = " ";
	}
	fputc(']', f);
}

/* SDM Vol. 3A, "Code- and Data-Segment Descriptor Types" (3.4.5.1), "System Descriptor Types"
 * (3.5). */
static void type_text(const struct segment *s, char *buf, size_t size)
{
	static const char *const system_types[16] = {
		[1] = "TSS16 available", [2] = "LDT",         [3] = "TSS16 busy",
		[9] = "TSS32 available", [11] = "TSS32 busy",
	};

	if (!s->s)
		snprintf(buf, size, "%s",
			 system_types[s->type & 15] ? system_types[s->type & 15] : "other system");
	else if (s->type & 8)
		snprintf(buf, size, "code %s%s%s", s->type & 2 ? "rx" : "x",
			 s->type & 4 ? " conforming" : "", s->db ? " 32-bit" : " 16-bit");
	else
		snprintf(buf, size, "data %s%s%s", s->type & 2 ? "rw" : "r",
			 s->type & 4 ? " expand-down" : "", s->db ? " 32-bit" : " 16-bit");
}

static void print_segment(const char *name, const struct segment *s, FILE *f)
{
	char type[48];

	fprintf(f, "  %-4s %04x", name, s->sel);
	if (s->unusable) {
		fputs(" null\n", f);
		return;
	}
	type_text(s, type, sizeof(type));
	fprintf(f, " base %08x limit %08x dpl %u %s%s\n", s->base, s->limit, s->dpl, type,
		s->present ? "" : " not present");
}

static void print_registers(const struct vcpu *v, FILE *f)
{
	static const char *const seg_names[SEG_COUNT] = { "es", "cs", "ss", "ds", "fs", "gs" };
	const uint32_t *g = v->regs.gpr;
	const struct shadow *sh = &v->sh;
	char sym[128];

	trace_symbol_text(v->vm->symbols, v->regs.eip, sym, sizeof(sym));
	fprintf(f, "  eax %08x  ebx %08x  ecx %08x  edx %08x\n", g[EAX], g[EBX], g[ECX], g[EDX]);
	fprintf(f, "  esi %08x  edi %08x  ebp %08x  esp %08x\n", g[ESI], g[EDI], g[EBP], g[ESP]);
	fprintf(f, "  eip %08x  %s\n", v->regs.eip, sym);
	fprintf(f, "  eflags %08x ", v->regs.eflags);
	print_bits(v->regs.eflags, eflags_bits, f);
	fprintf(f, " iopl %u, vcpl %u%s%s%s%s\n", vcpu_iopl(v), sh->cpl,
		v->halted ? ", halted" : "", sh->sti_shadow ? ", sti shadow" : "",
		sh->movss_shadow ? ", mov-ss shadow" : "", sh->nmi_blocked ? ", nmi blocked" : "");
	fprintf(f, "  cr0 %08x ", sh->cr0);
	print_bits(sh->cr0, cr0_bits, f);
	fprintf(f, "\n  cr2 %08x  cr3 %08x  cr4 %08x ", sh->cr2, sh->cr3, sh->cr4);
	print_bits(sh->cr4, cr4_bits, f);
	fputc('\n', f);
	for (int i = 0; i < SEG_COUNT; i++)
		print_segment(seg_names[i], &v->regs.seg[i], f);
	print_segment("ldtr", &sh->ldtr, f);
	print_segment("tr", &sh->tr, f);
	fprintf(f, "  gdtr base %08x limit %04x\n", sh->gdtr.base, sh->gdtr.limit);
	fprintf(f, "  idtr base %08x limit %04x\n", sh->idtr.base, sh->idtr.limit);
}

/* ---- the last exits ---- */

static void print_exits(const struct vm *vm, const struct vcpu *v, FILE *f)
{
	struct trace_entry e[TRACE_RING];
	size_t n = trace_last(v->trace, e);

	if (!n)
		return;
	fprintf(f, "last %zu exits, oldest first:\n", n);
	for (size_t i = 0; i < n; i++) {
		/* The eye needs distances, not a clock: time before the last exit. */
		uint64_t ago = e[n - 1].time_ns - e[i].time_ns;
		char sym[128], insn[104], cause[32];

		trace_symbol_text(vm->symbols, e[i].eip, sym, sizeof(sym));
		trace_insn_text(&e[i], insn, sizeof(insn));
		fprintf(f, "  %9llu.%03u us before  %08x %-24s %-32s %s, error %#x\n",
			(unsigned long long)(ago / 1000), (unsigned)(ago % 1000), e[i].eip, sym,
			insn, cause_name(e[i].cause, cause, sizeof(cause)), e[i].error);
	}
}

/* ---- the code around EIP ---- */

/* The bytes around EIP: @len of them, the first one at offset @eip of CS. */
struct code {
	uint8_t buf[LOOK_BACK + LOOK_AHEAD];
	size_t len;
	uint32_t eip;
	unsigned bits;
};

/*
 * Read what is RAM of [@eip - LOOK_BACK, @eip + LOOK_AHEAD), without effects on the vCPU.  A hole
 * before EIP restarts the run after it, one behind EIP ends it.  Returns whether EIP is in it.
 */
static bool read_code(const struct vm *vm, const struct vcpu *v, struct code *c)
{
	const struct segment *cs = &v->regs.seg[SEG_CS];
	uint32_t at = v->regs.eip > LOOK_BACK ? v->regs.eip - LOOK_BACK : 0;

	c->len = 0;
	c->eip = at;
	c->bits = cs->db ? 32 : 16;
	for (;; at++) {
		/* vm_ptr() does not change the VM, but what it returns may be written. */
		const uint8_t *p = vm_ptr((struct vm *)(uintptr_t)vm, (uint32_t)(cs->base + at), 1);

		if (p) {
			c->buf[c->len++] = *p;
		} else if (at < v->regs.eip) {
			c->len = 0;
			c->eip = at + 1;
		} else {
			break;
		}
		if (c->len == sizeof(c->buf) || at - v->regs.eip == LOOK_AHEAD - 1 ||
		    at == UINT32_MAX)
			break;
	}
	return c->len > v->regs.eip - c->eip;
}

/* Length of the instruction at @off, 0 if the bytes there are none. */
static size_t insn_at(const struct code *c, size_t off, struct insn *in)
{
	if (off >= c->len || insn_decode(c->buf + off, c->len - off, c->bits, in) < 0)
		return 0;
	return in->len;
}

/*
 * x86 code cannot be read backwards.  So take the farthest start before @at from which whole
 * instructions lead exactly to @at - decoding falls into step within a few - and the last
 * AROUND_BEFORE of them.  @start[] gets their offsets; returns how many.
 */
static size_t before(const struct code *c, size_t at, size_t start[AROUND_BEFORE])
{
	for (size_t from = 0; from < at; from++) {
		size_t seen[LOOK_BACK], n = 0, off = from, len;
		struct insn in;

		while (off < at && (len = insn_at(c, off, &in)) > 0) {
			seen[n++] = off;
			off += len;
		}
		if (off != at)
			continue;
		size_t skip = n > AROUND_BEFORE ? n - AROUND_BEFORE : 0;

		memcpy(start, seen + skip, (n - skip) * sizeof(*start));
		return n - skip;
	}
	return 0;
}

/* Print one line; returns how many bytes it covers. */
static size_t print_insn(const struct code *c, size_t off, bool here, FILE *f)
{
	char text[104] = "(bad)", hex[3 * INSN_MAX + 1] = "";
	size_t len, used = 0;
	struct insn in;

	len = insn_at(c, off, &in);
	if (len)
		insn_format(&in, c->eip + (uint32_t)off, text, sizeof(text));
	else
		len = 1;
	for (size_t i = 0; i < len; i++)
		used += (size_t)snprintf(hex + used, sizeof(hex) - used, "%02x ", c->buf[off + i]);
	fprintf(f, "%s %08x  %-30s %s\n", here ? "=>" : "  ", c->eip + (uint32_t)off, hex, text);
	return len;
}

static void print_code(const struct vm *vm, const struct vcpu *v, FILE *f)
{
	size_t start[AROUND_BEFORE], n, off;
	struct code c;

	if (v->sh.cr0 & CR0_PG) {
		fputs("code around eip: not shown, paging is on\n", f);
		return;
	}
	if (!read_code(vm, v, &c)) {
		fprintf(f, "code around eip: none, %08x is not RAM\n",
			v->regs.seg[SEG_CS].base + v->regs.eip);
		return;
	}
	fputs("code around eip:\n", f);
	off = v->regs.eip - c.eip;
	n = before(&c, off, start);
	for (size_t i = 0; i < n; i++)
		print_insn(&c, start[i], false, f);
	for (size_t i = 0; i < AROUND_AFTER && off < c.len; i++)
		off += print_insn(&c, off, i == 0, f);
}

void report_death(const struct vm *vm, const struct vcpu *v, FILE *f)
{
	fprintf(f, "ringside: the guest died: %s\n", vm->death);
	if (!v)
		return;
	fprintf(f, "registers of vCPU %u:\n", v->id);
	print_registers(v, f);
	print_exits(vm, v, f);
	print_code(vm, v, f);
}

void report_vcpus(const struct vm *vm, FILE *f)
{
	for (unsigned i = 0; i < vm->vcpus; i++) {
		fprintf(f, "registers of vCPU %u:\n", i);
		print_registers(vm->vcpu[i], f);
		print_code(vm, vm->vcpu[i], f);
	}
	if (vm->vcpus)
		print_exits(vm, vm->vcpu[0], f); /* all share a ring */
}
