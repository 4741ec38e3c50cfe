/* SPDX-License-Identifier: MIT */
/* Running a case in a world and through emulate(), and comparing: see diff.h. */
#include "tests/diff.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "vmm/emu/emulate.h"
#include "vmm/engine.h"

#define FLAGS_SEEN (FL_ARITH | FL_DF | FL_TF | FL_NT | FL_AC | FL_ID)

/* What the data and stack areas hold but for the pokes of a case. */
static uint8_t background[DIFF_DATA_LEN];

/* ---- the machines ---- */

static uint32_t on_bus_read(void *dev, uint64_t off, unsigned width)
{
	struct diff *d = dev;

	(void)width;
	if (!d->bus_seen)
		d->bus_gpa = (uint32_t)(DIFF_RAM + off);
	d->bus_seen = true;
	return 0xffffffff;
}

static void on_bus_write(void *dev, uint64_t off, unsigned width, uint32_t val)
{
	(void)val;
	on_bus_read(dev, off, width);
}

static int machine_init(struct diff *d, struct vm *vm, struct vcpu *v)
{
	int ret = vm_init(vm, DIFF_RAM);

	if (ret) {
		fprintf(stderr, "differential: %s\n", vm->death);
		return ret;
	}
	v->vm = vm;
	vm->vcpu[0] = v;
	vm->vcpus = 1;
	vm->dead_quietly = true;
	vcpu_boot_multiboot(v, DIFF_CODE, 0, 0);
	memset(vm->ram + DIFF_CODE, 0xf4, DIFF_CODE_LEN);
	(void)d;
	return 0;
}

static int map_areas(struct engine *e)
{
	int ret = world_engine.map(e, DIFF_CODE, DIFF_CODE, DIFF_CODE_LEN, MAP_R | MAP_X);

	if (!ret)
		ret = world_engine.map(e, DIFF_STACK, DIFF_STACK, DIFF_STACK_LEN, MAP_R | MAP_W);
	if (!ret)
		ret = world_engine.map(e, DIFF_DATA, DIFF_DATA, DIFF_DATA_LEN, MAP_R | MAP_W);
	return ret;
}

int diff_open(struct diff *d, FILE *out)
{
	struct bus_range everything = { .name = "outside",
					.base = DIFF_RAM,
					.len = (1ull << 32) - DIFF_RAM,
					.dev = d,
					.read = on_bus_read,
					.write = on_bus_write };
	int ret;

	_Static_assert(DIFF_DATA_LEN == DIFF_STACK_LEN, "one background for both");
	memset(d, 0, sizeof(*d));
	d->out = out;
	for (unsigned i = 0; i < sizeof(background); i++)
		background[i] = (uint8_t)((i * 2654435761u) >> 13);
	ret = machine_init(d, &d->native_vm, &d->native);
	if (ret)
		return ret;
	ret = machine_init(d, &d->emu_vm, &d->emu);
	if (ret)
		goto no_emu;
	ret = bus_add(&d->emu_vm.mmio, &everything);
	if (!ret)
		ret = world_engine.create(&d->native, &d->native.engine);
	if (!ret)
		ret = map_areas(d->native.engine);
	if (!ret)
		return 0;
	fprintf(stderr, "differential: cannot make a world (%s)\n", d->native_vm.death);
	if (d->native.engine)
		world_engine.destroy(d->native.engine);
	vm_destroy(&d->emu_vm);
no_emu:
	vm_destroy(&d->native_vm);
	return ret;
}

void diff_close(struct diff *d)
{
	world_engine.destroy(d->native.engine);
	vm_destroy(&d->native_vm);
	vm_destroy(&d->emu_vm);
}

/* ---- before ---- */

static void load_memory(const struct diff_case *c, uint8_t *ram)
{
	memcpy(ram + DIFF_DATA, background, DIFF_DATA_LEN);
	memcpy(ram + DIFF_STACK, background, DIFF_STACK_LEN);
	memset(ram + c->fill_gva, c->fill, c->fill_len);
	for (unsigned i = 0; i < c->pokes; i++) {
		uint32_t gva = c->poke[i].gva;

		if (gva - DIFF_DATA <= DIFF_DATA_LEN - 4 || gva - DIFF_STACK <= DIFF_STACK_LEN - 4)
			memcpy(ram + gva, &c->poke[i].val, 4);
	}
	memcpy(ram + c->desc[SEG_CS]->seg.base + c->eip, c->code, DIFF_CODE_MAX);
}

static void load_registers(const struct diff_case *c, struct vcpu *v)
{
	memcpy(v->regs.gpr, c->gpr, sizeof(c->gpr));
	v->regs.eip = c->eip;
	v->regs.eflags = c->eflags;
	for (int i = 0; i < SEG_COUNT; i++)
		v->regs.seg[i] = c->desc[i]->seg;
	v->sh.cpl = 3;
	v->halted = false;
	memset(&v->fault, 0, sizeof(v->fault));
}

/* ---- how it ended ---- */

struct outcome {
	bool fault; /* of the instruction itself */
	uint8_t vector;
	uint32_t error;
};

/* Returns 0 or negative errno. */
static int run_native(struct diff *d, const struct diff_case *c, struct outcome *o)
{
	struct vcpu *v = &d->native;
	struct exit *x = &d->exit;
	unsigned tries = 0;
	int ret;

	do {
		ret = world_engine.run(v->engine, 0, x);
		if (ret)
			return ret;
	} while ((x->reason == EXIT_KICK || x->reason == EXIT_RECONCILED) && ++tries < 100);
	memset(o, 0, sizeof(*o));
	switch (x->reason) {
	case EXIT_PRIVILEGED:
		/* The HLT behind it; with TF nothing behind it runs. */
		if (v->regs.eip != c->eip && !(c->eflags & FL_TF))
			return 0;
		break;
	case EXIT_EXCEPTION:
		if (x->vector == VEC_DB && x->dr6 == 1u << 14)
			return 0;
		break;
	case EXIT_PAGE_FAULT: break;
	default: return -EPROTO;
	}
	o->fault = true;
	o->vector = x->vector;
	o->error = x->has_error ? x->error : 0;
	return 0;
}

/* A rep string instruction is carried on until it is done or faults, unless it is stepped. */
static int run_emulated(struct diff *d, const struct diff_case *c, struct outcome *o)
{
	struct vcpu *v = &d->emu;
	unsigned rounds = 0;
	int ret;

	memset(o, 0, sizeof(*o));
	if (c->decoded) {
		o->fault = true;
		/* #GP(0) if it is too long; SDM Vol. 2A, "Instruction Format" (2.1) */
		o->vector = c->len > INSN_MAX ? VEC_GP : VEC_UD;
		return EMU_FAULT;
	}
	do {
		ret = emulate(v, &c->in);
	} while (ret == EMU_OK && v->regs.eip == c->eip && !(c->eflags & FL_TF) && ++rounds < 4);
	v->regs.gpr[EBX] ^= d->tamper;
	if (ret == EMU_FAULT) {
		o->fault = true;
		o->vector = v->fault.vector;
		o->error = v->fault.has_error ? v->fault.error : 0;
	}
	return ret;
}

/* ---- comparing ---- */

static void print_regs(FILE *out, const char *who, const struct vcpu *v)
{
	const uint32_t *g = v->regs.gpr;

	fprintf(out,
		"  %-8s eax %08x ecx %08x edx %08x ebx %08x esp %08x ebp %08x esi %08x edi %08x "
		"eip %08x eflags %08x\n",
		who, g[EAX], g[ECX], g[EDX], g[EBX], g[ESP], g[EBP], g[ESI], g[EDI], v->regs.eip,
		v->regs.eflags);
}

static void print_memory(const struct diff *d, uint32_t gva)
{
	unsigned shown = 0;

	for (uint32_t i = 0; i < DIFF_DATA_LEN && shown < 8; i++) {
		uint8_t n = d->native_vm.ram[gva + i], e = d->emu_vm.ram[gva + i];

		if (n != e && ++shown)
			fprintf(d->out, "  memory %#x: world %02x, emulated %02x\n", gva + i, n, e);
	}
}

static int mismatch(struct diff *d, const struct diff_case *c, const struct outcome *n,
		    const struct outcome *e, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));
static int mismatch(struct diff *d, const struct diff_case *c, const struct outcome *n,
		    const struct outcome *e, const char *fmt, ...)
{
	static const char *const seg[SEG_COUNT] = { "es", "cs", "ss", "ds", "fs", "gs" };
	struct vcpu before;
	char text[96] = "not decoded";
	va_list ap;

	if (!c->decoded)
		insn_format(&c->in, c->eip, text, sizeof(text));
	fprintf(d->out,
		"mismatch: --seed %llu --start %lu --count 1: ", (unsigned long long)c->seed,
		c->index);
	va_start(ap, fmt);
	vfprintf(d->out, fmt, ap);
	va_end(ap);
	fprintf(d->out, "\n  template %s, %u-bit, bytes ", c->template, c->bits);
	for (unsigned i = 0; i < c->len; i++)
		fprintf(d->out, "%02x", c->code[i]);
	fprintf(d->out, ": %s\n ", text);
	for (int i = 0; i < SEG_COUNT; i++)
		fprintf(d->out, " %s=%s", seg[i], c->desc[i]->name);
	fprintf(d->out, "\n");
	load_registers(c, &before);
	print_regs(d->out, "before", &before);
	print_regs(d->out, "world", &d->native);
	print_regs(d->out, "emulated", &d->emu);
	fprintf(d->out, "  world: exit %d, fault %d vector %u error %#x gva %#x\n", d->exit.reason,
		n->fault, n->vector, n->error, d->exit.gva);
	fprintf(d->out, "  emulated: fault %d vector %u error %#x\n", e->fault, e->vector,
		e->error);
	print_memory(d, DIFF_DATA);
	print_memory(d, DIFF_STACK);
	return DIFF_MISMATCH;
}

static bool in_areas(uint32_t gva)
{
	return gva - DIFF_DATA < DIFF_DATA_LEN || gva - DIFF_STACK < DIFF_STACK_LEN;
}

/*
 * The world had a page fault.  The emulator, which has no paging, must have gone to the bus at that
 * address first; unless the address is in the part of RAM that the world does not map, or the
 * instruction accesses several places, of which the CPU may try any first.
 */
static int same_address(struct diff *d, const struct diff_case *c, const struct outcome *n,
			const struct outcome *e)
{
	bool several = c->in.op == OP_MOVS || c->in.op == OP_CMPS || c->in.op == OP_ENTER ||
		       c->in.op == OP_PUSHA || c->in.op == OP_POPA || c->in.op == OP_PUSH ||
		       c->in.op == OP_POP || c->in.op == OP_CALL;
	uint32_t gva = d->exit.gva;

	if (in_areas(gva))
		return mismatch(d, c, n, e, "page fault at %#x in a mapped area", gva);
	if (c->decoded)
		return mismatch(d, c, n, e, "it is an instruction");
	if (gva < DIFF_RAM || several)
		return DIFF_OUTSIDE;
	/* An access across two pages may be reported with either. */
	if (!d->bus_seen || gva - d->bus_gpa > 16)
		return mismatch(d, c, n, e, "page fault at %#x, emulator on the bus at %#x", gva,
				d->bus_seen ? d->bus_gpa : 0);
	return DIFF_ADDRESS;
}

/*
 * ENTER with a 32-bit operand on a 16-bit stack whose SP wraps: the manual does not say what
 * becomes of the upper half of the frame pointer, which is also pushed.
 */
static bool enter_wraps(const struct diff_case *c)
{
	return c->in.op == OP_ENTER && c->in.opsize == 4 && !c->desc[SEG_SS]->seg.db &&
	       (c->gpr[ESP] & 0xffff) < 4;
}

static int compare_state(struct diff *d, const struct diff_case *c, const struct outcome *n,
			 const struct outcome *e)
{
	static const char *const name[] = {
		"eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"
	};
	const struct cpu_regs *a = &d->native.regs, *b = &d->emu.regs;
	uint32_t flags = FLAGS_SEEN;
	bool any_result = false;

	if (!c->decoded)
		flags &= ~diff_undefined(&c->in, c->gpr[ECX], &any_result);
	/* DIV: undefined before #DE as well.  Nothing else changes flags and faults. */
	if (n->fault && n->vector != VEC_DE && !(c->in.prefixes & (PREFIX_REP | PREFIX_REPNE)))
		flags = FLAGS_SEEN;
	if (a->eip != b->eip)
		return mismatch(d, c, n, e, "eip");
	if ((a->eflags ^ b->eflags) & flags)
		return mismatch(d, c, n, e, "flags %#x", (a->eflags ^ b->eflags) & flags);
	if (any_result || (!c->decoded && enter_wraps(c)))
		return DIFF_SAME;
	for (int i = 0; i < GPR_COUNT; i++) {
		/* POPA that faults halfway may have loaded some: it starts again from ESP. */
		if (n->fault && c->in.op == OP_POPA && i != ESP)
			continue;
		if (a->gpr[i] != b->gpr[i])
			return mismatch(d, c, n, e, "%s", name[i]);
	}
	/* These may have pushed some of their values before the fault (SDM is silent). */
	if (n->fault && (c->in.op == OP_ENTER || c->in.op == OP_PUSHA || c->in.op == OP_CALL))
		return DIFF_FAULT;
	if (memcmp(d->native_vm.ram + DIFF_DATA, d->emu_vm.ram + DIFF_DATA, DIFF_DATA_LEN) ||
	    memcmp(d->native_vm.ram + DIFF_STACK, d->emu_vm.ram + DIFF_STACK, DIFF_STACK_LEN))
		return mismatch(d, c, n, e, "memory");
	return n->fault ? DIFF_FAULT : DIFF_SAME;
}

/*
 * Two faults are due, and the manual does not settle which comes first, or the CPU takes the other:
 *   CMPS, MOVS  both sides are outside their segments (Intel's CPUs look at ES:EDI first);
 *   BOUND       one bound is violated, the other outside the segment: #BR or #GP;
 *   CALL        the manual checks the target before it pushes (Vol. 2A), Intel's CPUs push first.
 */
static bool either_fault(const struct insn *in, const struct outcome *n, const struct outcome *e)
{
	switch (in->op) {
	case OP_CMPS:
	case OP_MOVS: return n->vector + e->vector == VEC_GP + VEC_SS;
	case OP_BOUND: return n->vector == VEC_BR && (e->vector == VEC_GP || e->vector == VEC_SS);
	case OP_CALL: return n->vector == VEC_SS && e->vector == VEC_GP;
	default: return false;
	}
}

static int compare(struct diff *d, const struct diff_case *c, const struct outcome *n,
		   const struct outcome *e, int emulated)
{
	if (n->fault && n->vector == VEC_PF)
		return emulated == EMU_UNHANDLED ? DIFF_OUTSIDE : same_address(d, c, n, e);
	if (emulated == EMU_UNHANDLED) {
		if (!n->fault && d->native.regs.eip != c->eip + c->in.len)
			return mismatch(d, c, n, e, "length %u", c->in.len);
		return DIFF_LENGTH;
	}
	if (emulated < 0)
		return mismatch(d, c, n, e, "emulate() gave %d", emulated);
	if (n->fault != e->fault)
		return mismatch(d, c, n, e,
				n->fault ? "only the world faults" : "only the emulator faults");
	if (n->fault && either_fault(&c->in, n, e))
		return DIFF_FAULT;
	if (n->fault && (n->vector != e->vector || n->error != e->error))
		return mismatch(d, c, n, e, "exception");
	return compare_state(d, c, n, e);
}

int diff_run(struct diff *d, const struct diff_case *c)
{
	uint32_t at = c->desc[SEG_CS]->seg.base + c->eip;
	struct outcome n, e;
	int ret, emulated;

	load_memory(c, d->native_vm.ram);
	load_memory(c, d->emu_vm.ram);
	load_registers(c, &d->native);
	load_registers(c, &d->emu);
	d->bus_seen = false;
	ret = run_native(d, c, &n);
	if (ret == -EPROTO) {
		memset(&e, 0, sizeof(e));
		ret = mismatch(d, c, &n, &e, "exit reason %d", d->exit.reason);
	} else if (!ret) {
		emulated = run_emulated(d, c, &e);
		ret = compare(d, c, &n, &e, emulated);
	}
	memset(d->native_vm.ram + at, 0xf4, DIFF_CODE_MAX);
	memset(d->emu_vm.ram + at, 0xf4, DIFF_CODE_MAX);
	if (ret >= 0)
		d->count[ret]++;
	return ret;
}
