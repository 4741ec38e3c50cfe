/* SPDX-License-Identifier: MIT */
/* The engine that counts boundaries, and the handlers that log; see deliver.h. */
#include "tests/deliver.h"

#define DL_HANDLERS 0x101000u
#define DL_IDT      0x181000u
#define DL_GDT      0x182000u
#define DL_EVENTS   0x190000u /* pointer to the next free entry, then the entries at 0x190010 */
#define DL_ENTRY    0x80u     /* bytes of a handler */

/* Log {vector, EIP, ECX, EFLAGS}; @last is done at the end, with the frame on the stack. */
#define HANDLER(vector, more, last)                                                       \
	".balign 0x80\n pusha\n mov 0x190000,%edi\n movl $" #vector                       \
	",(%edi)\n mov 32(%esp),%eax\n mov %eax,4(%edi)\n mov %ecx,8(%edi)\n"             \
	"mov 40(%esp),%eax\n mov %eax,12(%edi)\n add $16,%edi\n mov %edi,0x190000\n" more \
	"popa\n" last "iret\n"

#define EOI "movl $0,0xfee000b0\n"

GUEST(dl_handlers, HANDLER(0x60, EOI, "")                 /* the interrupt that is raised */
      HANDLER(0x61, "", "")                               /* one that stays in service */
      HANDLER(2, "", "")                                  /* NMI */
      HANDLER(1, "", "andl $~0x100,8(%esp)\n")            /* #DB: once */
      HANDLER(6, "", "addl $2,(%esp)\n")                  /* #UD: skips the ud2 */
      HANDLER(0x62, "movl $0x40060,0xfee00300\n" EOI, "") /* one that sends the other */
      HANDLER(0x31, "", "") /* int $0x31 */);

static const uint8_t dl_vectors[] = { 0x60, 0x61, 2, 1, 6, 0x62, 0x31 };

uint32_t dl_handler(unsigned vector)
{
	for (unsigned i = 0; i < sizeof(dl_vectors); i++)
		if (dl_vectors[i] == vector)
			return DL_HANDLERS + i * DL_ENTRY;
	cr_assert_fail("no handler for %#x", vector);
	return 0;
}

void dl_gate(struct dl *d, unsigned vector, uint32_t off, unsigned type)
{
	uint64_t gate = (uint64_t)(off >> 16) << 48 | (0x80ull | type) << 40 | 0x080000u |
			(off & 0xffff);

	memcpy(d->vm.ram + DL_IDT + 8 * vector, &gate, sizeof(gate));
}

void dl_raise(struct dl *d, unsigned what)
{
	d->raised = true;
	if (what & DL_RAISE_IRQ) {
		lapic_post(d->v.lapic, DL_IRQ, 1, 1);
		atomic_store(&d->v.irq_pending, true);
	}
	if (what & DL_RAISE_NMI)
		atomic_store(&d->v.nmi_pending, true);
}

/* A new boundary?  Not in a handler, not on coming back from one, not for the monitor's own faults.
 */
static bool arrive(struct dl *d)
{
	struct dl_boundary here = { d->v.regs.eip, d->v.regs.gpr[ECX] };

	if (here.eip - CG_CODE >= DL_TEXT_MAX)
		return false;
	if (d->boundaries && !memcmp(&here, &d->boundary[d->boundaries - 1], sizeof(here)))
		return false;
	cr_assert_lt(d->boundaries, DL_LOG);
	d->boundary[d->boundaries++] = here;
	return true;
}

/* Is this where the event is to be raised? */
static bool due(struct dl *d, bool fresh)
{
	const struct dl_boundary *here = &d->boundary[d->boundaries - 1];

	if (d->raised || d->at == DL_NEVER || !d->boundaries)
		return false;
	for (int i = d->at; d->dry && i < (int)d->dry->boundaries; i++)
		if (!memcmp(here, &d->dry->boundary[i], sizeof(*here)) &&
		    here->eip == d->v.regs.eip) {
			d->at = i;
			return true;
		}
	if (d->dry)
		return false;
	return (fresh || d->when == DL_DURING) && (int)d->boundaries == d->at + 1 &&
	       here->eip == d->v.regs.eip;
}

static int dl_run(struct engine *e, unsigned flags, struct exit *x)
{
	struct dl *d = (struct dl *)((char *)e - offsetof(struct dl, step));
	bool now = due(d, arrive(d)), done;
	int res;

	if (now && d->when == DL_BEFORE) {
		dl_raise(d, d->what);
		memset(x, 0, sizeof(*x));
		x->reason = EXIT_KICK;
		return 0;
	}
	res = d->world->ops->run(d->world, d->raised && d->dry ? flags : flags | ENGINE_STEP, x);
	done = x->reason != EXIT_KICK && x->reason != EXIT_RECONCILED &&
	       !(x->reason == EXIT_PAGE_FAULT && x->gva < d->vm.ram_len);
	if (now && done)
		dl_raise(d, d->what);
	return res;
}

static void dl_destroy(struct engine *e)
{
	(void)e;
}

static int dl_map(struct engine *e, gva_t gva, gpa_t gpa, uint64_t len, unsigned prot)
{
	struct dl *d = (struct dl *)((char *)e - offsetof(struct dl, step));

	return d->world->ops->map(d->world, gva, gpa, len, prot);
}

static int dl_unmap(struct engine *e, gva_t gva, uint64_t len)
{
	struct dl *d = (struct dl *)((char *)e - offsetof(struct dl, step));

	return d->world->ops->unmap(d->world, gva, len);
}

static int dl_invalidate(struct engine *e)
{
	struct dl *d = (struct dl *)((char *)e - offsetof(struct dl, step));

	return d->world->ops->invalidate(d->world);
}

static int dl_sync(struct engine *e)
{
	struct dl *d = (struct dl *)((char *)e - offsetof(struct dl, step));

	return d->world->ops->sync(d->world);
}

static void dl_kick(struct engine *e)
{
	struct dl *d = (struct dl *)((char *)e - offsetof(struct dl, step));

	d->world->ops->kick(d->world);
}

static const struct engine_ops dl_ops = {
	.name = "step",
	.destroy = dl_destroy,
	.run = dl_run,
	.map = dl_map,
	.unmap = dl_unmap,
	.invalidate = dl_invalidate,
	.sync = dl_sync,
	.kick = dl_kick,
};

void dl_load(struct dl *d, const uint8_t *code, const uint8_t *end)
{
	static const uint64_t gdt[] = { 0, 0x00cf9b000000ffff, 0x00cf93000000ffff };
	const struct machine_config cfg = { .console_in = -1,
					    .console_out = -1,
					    .debugcon_out = -1 };
	const uint32_t first = DL_EVENTS + 16;

	memset(d, 0, sizeof(*d));
	d->at = DL_NEVER;
	cr_assert_eq(vm_init(&d->vm, CG_RAM), 0, "%s", d->vm.death);
	d->v.vm = &d->vm;
	d->v.account = account_new();
	d->vm.vcpu[0] = &d->v;
	d->vm.vcpus = 1;
	d->vm.engine_ops = &world_engine;
	cr_assert_eq(machine_create(&d->vm, &cfg), 0, "%s", d->vm.death);
	vcpu_boot_multiboot(&d->v, CG_CODE, 0, 0);
	d->v.regs.gpr[ESP] = 0x200000;
	cr_assert_leq(end - code, DL_TEXT_MAX);
	memcpy(d->vm.ram + CG_CODE, code, (size_t)(end - code));
	memcpy(d->vm.ram + DL_HANDLERS, dl_handlers, (size_t)(dl_handlers_end - dl_handlers));
	memcpy(d->vm.ram + DL_EVENTS, &first, sizeof(first));
	memcpy(d->vm.ram + DL_GDT, gdt, sizeof(gdt));
	d->v.sh.gdtr = (struct desc_table){ .base = DL_GDT, .limit = sizeof(gdt) - 1 };
	d->v.sh.idtr = (struct desc_table){ .base = DL_IDT, .limit = 0x7ff };
	for (unsigned i = 0; i < sizeof(dl_vectors); i++)
		dl_gate(d, dl_vectors[i], dl_handler(dl_vectors[i]), DL_INTERRUPT_GATE);
	machine_mmio_write(&d->vm, &d->v, 0xfee000f0, 4, 0x1ff);
	cr_assert_eq(world_engine.create(&d->v, &d->world), 0, "%s", d->vm.death);
	d->step.ops = &dl_ops;
	d->step.low_limit = d->world->low_limit;
	d->v.engine = &d->step;
}

void dl_load_bare(struct dl *d, const uint8_t *code, const uint8_t *end)
{
	dl_load(d, code, end);
	d->v.engine = d->world;
}

void dl_go(struct dl *d)
{
	uint32_t end;

	vcpu_run(&d->v);
	cr_expect_eq(atomic_load(&d->vm.end), VM_EXITED, "%s (eip %#x)", d->vm.death,
		     d->v.regs.eip);
	memcpy(&end, d->vm.ram + DL_EVENTS, sizeof(end));
	d->events = (end - DL_EVENTS - 16) / (unsigned)sizeof(struct dl_event);
	cr_assert_leq(d->events, DL_LOG);
	memcpy(d->event, d->vm.ram + DL_EVENTS + 16, d->events * sizeof(struct dl_event));
}

void dl_free(struct dl *d)
{
	shadow_free(&d->v);
	world_engine.destroy(d->world);
	dl_free_bare(d);
}

void dl_free_bare(struct dl *d)
{
	shadow_free(&d->v);
	machine_destroy(&d->vm);
	account_free(d->v.account);
	vm_destroy(&d->vm);
}

const struct dl_event *dl_find(const struct dl *d, unsigned vector)
{
	for (unsigned i = 0; i < d->events; i++)
		if (d->event[i].vector == vector)
			return &d->event[i];
	return NULL;
}
