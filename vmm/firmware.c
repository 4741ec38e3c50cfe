/* SPDX-License-Identifier: MIT */
/*
 * MP and ACPI tables.  Both say the same: one IOAPIC whose pins 1 and 3-15 are the ISA interrupts
 * of that number, IRQ 0 on pin 2, the PIC's INTR on pin 0 and on LINT0, NMI on LINT1.  The machine
 * is in virtual-wire mode (there is no IMCR), and in ACPI mode from the start (no SMI command
 * port).
 *
 * There is no power management hardware: the FADT's register blocks are all empty.
 */
#include "vmm/firmware.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "vmm/dev/devices.h"
#include "vmm/emu/emulate.h"
#include "vmm/mem.h"
#include "vmm/multiboot.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

#define PIT_PIN       2
#define ISA_IRQS      16
#define CASCADE       2
#define SCI_IRQ       9
#define LAPIC_VERSION 0x14
#define IOAPIC_VER    0x20
#define CMOS_CENTURY  0x32

#define TEXT_BASE  0xb8000u
#define TEXT_CELLS 0x4000u
#define TEXT_BLANK 0x0720u /* a space, light grey on black */

/* MP specification 1.4, 4.1 and 4.2. */
struct mp_floating {
	char signature[4];
	uint32_t table;
	uint8_t length, revision, checksum, feature[5];
};
struct mp_header {
	char signature[4];
	uint16_t length;
	uint8_t revision, checksum;
	char oem[8], product[12];
	uint32_t oem_table;
	uint16_t oem_length, entries;
	uint32_t lapic;
	uint16_t ext_length;
	uint8_t ext_checksum, reserved;
};
/* 4.3, in the order of their types. */
struct mp_processor {
	uint8_t type, id, version, flags;
	uint32_t signature, features, reserved[2];
};
struct mp_bus {
	uint8_t type, id;
	char name[6];
};
struct mp_ioapic {
	uint8_t type, id, version, flags;
	uint32_t address;
};
struct mp_interrupt {
	uint8_t type, kind;
	uint16_t flags; /* 0: as the bus has it */
	uint8_t bus, irq, dest, pin;
};
_Static_assert(sizeof(struct mp_floating) == 16 && sizeof(struct mp_header) == 44 &&
		       sizeof(struct mp_processor) == 20 && sizeof(struct mp_bus) == 8 &&
		       sizeof(struct mp_ioapic) == 8 && sizeof(struct mp_interrupt) == 8,
	       "MP specification 1.4, chapter 4");

enum { MP_PROCESSOR, MP_BUS, MP_IOAPIC, MP_IO_INT, MP_LOCAL_INT };
enum { MP_INT, MP_NMI, MP_SMI, MP_EXTINT };

/* ACPI 1.0b, 5.2. */
struct acpi_rsdp {
	char signature[8];
	uint8_t checksum;
	char oem[6];
	uint8_t revision;
	uint32_t rsdt;
} __attribute__((packed));
struct acpi_header {
	char signature[4];
	uint32_t length;
	uint8_t revision, checksum;
	char oem[6], oem_table[8];
	uint32_t oem_revision;
	char creator[4];
	uint32_t creator_revision;
};
struct acpi_facs {
	char signature[4];
	uint32_t length, hardware, waking_vector, global_lock, flags;
	uint8_t reserved[40];
};
struct acpi_fadt {
	struct acpi_header h;
	uint32_t facs, dsdt;
	uint8_t int_model, reserved1;
	uint16_t sci;
	uint32_t smi_cmd;
	uint8_t acpi_enable, acpi_disable, s4bios, reserved2;
	uint32_t block[8];    /* PM1a/b event, PM1a/b control, PM2 control, timer, GPE0/1 */
	uint8_t block_len[7]; /* PM1 event, PM1 control, PM2 control, timer, GPE0/1, GPE1 base */
	uint8_t reserved3;
	uint16_t c2_latency, c3_latency, flush_size, flush_stride;
	uint8_t duty_offset, duty_width, day_alarm, month_alarm, century, reserved4[3];
	uint32_t flags;
};
struct acpi_madt_lapic {
	uint8_t type, length, processor, id;
	uint32_t flags;
};
struct acpi_madt_ioapic {
	uint8_t type, length, id, reserved;
	uint32_t address, first;
};
struct acpi_madt_override {
	uint8_t type, length, bus, irq;
	uint32_t global;
	uint16_t flags;
} __attribute__((packed));
struct acpi_madt_nmi {
	uint8_t type, length, processor;
	uint16_t flags;
	uint8_t lint;
} __attribute__((packed));
_Static_assert(sizeof(struct acpi_rsdp) == 20 && sizeof(struct acpi_header) == 36 &&
		       sizeof(struct acpi_facs) == 64 && sizeof(struct acpi_fadt) == 116 &&
		       sizeof(struct acpi_madt_lapic) == 8 &&
		       sizeof(struct acpi_madt_ioapic) == 12 &&
		       sizeof(struct acpi_madt_override) == 10 && sizeof(struct acpi_madt_nmi) == 6,
	       "ACPI 1.0b, 5.2");

#define C2_NONE      101  /* more than 100 us: there is no such state */
#define C3_NONE      1001 /* likewise, 1000 us */
#define FADT_WBINVD  0x1u
#define FADT_PROC_C1 0x4u
#define FADT_NO_KEYS 0x30u /* neither power nor sleep button in the fixed registers */
#define MADT_PCAT    1u    /* there are 8259s too */

/* What is being written; tables are built in @buf, @len bytes so far, from @gpa on. */
struct writer {
	struct vm *vm;
	uint8_t buf[FIRMWARE_LEN];
	uint32_t gpa;
	size_t len;
};

/* Room for @len bytes at a multiple of @align, zeroed.  NULL when it does not fit. */
static void *reserve(struct writer *w, size_t len, size_t align)
{
	size_t at = (w->len + align - 1) & ~(align - 1);

	if (at > sizeof(w->buf) || len > sizeof(w->buf) - at)
		return NULL;
	w->len = at + len;
	return w->buf + at;
}

/* Append to the table that is being written. */
static bool append(struct writer *w, const void *data, size_t len)
{
	void *p = reserve(w, len, 1);

	if (p)
		memcpy(p, data, len);
	return p;
}

static uint32_t gpa_of(const struct writer *w, const void *p)
{
	return w->gpa + (uint32_t)((const uint8_t *)p - w->buf);
}

/* What makes the sum of @len bytes at @p zero. */
static uint8_t checksum(const void *p, size_t len)
{
	const uint8_t *b = p;
	uint8_t sum = 0;

	while (len--)
		sum += *b++;
	return (uint8_t)-sum;
}

/* ---- MP ---- */

static bool mp_processors(struct writer *w, struct mp_header *h)
{
	for (unsigned i = 0; i < w->vm->vcpus; i++) {
		uint32_t id[4];
		struct mp_processor p = { .type = MP_PROCESSOR,
					  .id = (uint8_t)i,
					  .version = LAPIC_VERSION,
					  .flags = i ? 1 : 3 }; /* usable; the boot processor */

		cpuid_policy(w->vm->vcpu[i], 1, 0, id);
		p.signature = id[0] & 0xfff;
		p.features = id[3];
		if (!append(w, &p, sizeof(p)))
			return false;
		h->entries++;
	}
	return true;
}

static bool mp_interrupt(struct writer *w, struct mp_header *h, const struct mp_interrupt *i)
{
	h->entries++;
	return append(w, i, sizeof(*i));
}

static bool mp_interrupts(struct writer *w, struct mp_header *h, uint8_t ioapic)
{
	struct mp_interrupt i = { .type = MP_IO_INT, .kind = MP_EXTINT, .dest = ioapic };
	bool ok = mp_interrupt(w, h, &i);

	i.kind = MP_INT;
	for (uint8_t irq = 0; irq < ISA_IRQS; irq++) {
		if (irq == CASCADE)
			continue;
		i.irq = irq;
		i.pin = irq ? irq : PIT_PIN;
		ok &= mp_interrupt(w, h, &i);
	}
	i = (struct mp_interrupt){ .type = MP_LOCAL_INT, .kind = MP_EXTINT, .dest = 0, .pin = 0 };
	ok &= mp_interrupt(w, h, &i);
	i = (struct mp_interrupt){ .type = MP_LOCAL_INT, .kind = MP_NMI, .dest = 0xff, .pin = 1 };
	return ok & mp_interrupt(w, h, &i);
}

static bool write_mp(struct writer *w)
{
	const uint8_t ioapic = (uint8_t)w->vm->vcpus; /* as machine.c sets it */
	const struct mp_bus isa = { MP_BUS, 0, { 'I', 'S', 'A', ' ', ' ', ' ' } };
	const struct mp_ioapic io = { MP_IOAPIC, ioapic, IOAPIC_VER, 1, IOAPIC_BASE };
	struct mp_floating *f = reserve(w, sizeof(*f), 16);
	struct mp_header *h = reserve(w, sizeof(*h), 16);

	if (!f || !h)
		return false;
	memcpy(h->signature, "PCMP", 4);
	h->revision = 4;
	memcpy(h->oem, "RINGSIDE", 8);
	memcpy(h->product, "RINGSIDE PC ", 12);
	h->lapic = LAPIC_BASE;
	h->entries = 2;
	if (!mp_processors(w, h) || !append(w, &isa, sizeof(isa)) || !append(w, &io, sizeof(io)) ||
	    !mp_interrupts(w, h, ioapic))
		return false;
	h->length = (uint16_t)(w->buf + w->len - (uint8_t *)h);
	h->checksum = checksum(h, h->length);
	memcpy(f->signature, "_MP_", 4);
	f->table = gpa_of(w, h);
	f->length = 1; /* paragraphs */
	f->revision = 4;
	f->checksum = checksum(f, sizeof(*f));
	return true;
}

/* ---- ACPI ---- */

/* Begin a table of @len bytes or more. */
static void *table_begin(struct writer *w, const char *signature, size_t len)
{
	struct acpi_header *h = reserve(w, len, 16);

	if (!h)
		return NULL;
	memcpy(h->signature, signature, 4);
	h->revision = 1;
	memcpy(h->oem, "RNGSDE", 6);
	memcpy(h->oem_table, "RINGSIDE", 8);
	h->oem_revision = 1;
	memcpy(h->creator, "RNGS", 4);
	h->creator_revision = 1;
	return h;
}

/* It ends where the writing stands. */
static uint32_t table_end(const struct writer *w, struct acpi_header *h)
{
	h->length = (uint32_t)(w->buf + w->len - (uint8_t *)h);
	h->checksum = checksum(h, h->length);
	return gpa_of(w, h);
}

/* Scope (\_PR) { Processor (CPUn, n, 0, 0) {} ... }; ACPI 1.0b, chapter 16. */
static uint32_t write_dsdt(struct writer *w)
{
	uint8_t scope[] = { 0x10, 0x40, 0, 0x5c, '_', 'P', 'R', '_' };
	struct acpi_header *h = table_begin(w, "DSDT", sizeof(*h));
	size_t cpu_len = 13, len = sizeof(scope) - 1 + w->vm->vcpus * cpu_len;
	bool ok;

	if (!h)
		return 0;
	/* PkgLength of two bytes: counts itself, but not the opcode before it. */
	scope[1] = (uint8_t)(0x40 | (len & 0xf));
	scope[2] = (uint8_t)(len >> 4);
	ok = append(w, scope, sizeof(scope));
	for (unsigned i = 0; i < w->vm->vcpus && ok; i++) {
		const uint8_t cpu[] = { 0x5b,       0x83, 0x0b, 'C', 'P', 'U', (uint8_t)('0' + i),
					(uint8_t)i, 0,    0,    0,   0,   0 };

		ok = append(w, cpu, sizeof(cpu));
	}
	return ok ? table_end(w, h) : 0;
}

static uint32_t write_facs(struct writer *w)
{
	struct acpi_facs *f = reserve(w, sizeof(*f), 64);

	if (!f)
		return 0;
	memcpy(f->signature, "FACS", 4);
	f->length = sizeof(*f);
	return gpa_of(w, f);
}

static uint32_t write_fadt(struct writer *w, uint32_t facs, uint32_t dsdt)
{
	struct acpi_fadt *f = table_begin(w, "FACP", sizeof(*f));

	if (!f)
		return 0;
	f->facs = facs;
	f->dsdt = dsdt;
	f->int_model = 1; /* several APICs */
	f->sci = SCI_IRQ;
	f->c2_latency = C2_NONE;
	f->c3_latency = C3_NONE;
	f->century = CMOS_CENTURY;
	f->flags = FADT_WBINVD | FADT_PROC_C1 | FADT_NO_KEYS;
	return table_end(w, &f->h);
}

static uint32_t write_madt(struct writer *w)
{
	const struct acpi_madt_ioapic io = { 1, 12, (uint8_t)w->vm->vcpus, 0, IOAPIC_BASE, 0 };
	const struct acpi_madt_override pit = { 2, 10, 0, 0, PIT_PIN, 0 };
	const struct acpi_madt_nmi nmi = { 4, 6, 0xff, 0, 1 };
	const uint32_t head[2] = { LAPIC_BASE, MADT_PCAT };
	struct acpi_header *h = table_begin(w, "APIC", sizeof(*h));
	bool ok = h && append(w, head, sizeof(head));

	for (unsigned i = 0; i < w->vm->vcpus && ok; i++) {
		const struct acpi_madt_lapic l = { 0, 8, (uint8_t)i, (uint8_t)i, 1 };

		ok = append(w, &l, sizeof(l));
	}
	ok = ok && append(w, &io, sizeof(io)) && append(w, &pit, sizeof(pit)) &&
	     append(w, &nmi, sizeof(nmi));
	return ok ? table_end(w, h) : 0;
}

static bool write_acpi(struct writer *w)
{
	struct acpi_rsdp *r = reserve(w, sizeof(*r), 16);
	uint32_t facs = write_facs(w), dsdt = write_dsdt(w);
	uint32_t tables[2] = { write_fadt(w, facs, dsdt), write_madt(w) };
	struct acpi_header *rsdt = table_begin(w, "RSDT", sizeof(*rsdt));

	if (!r || !facs || !dsdt || !tables[0] || !tables[1] || !rsdt ||
	    !append(w, tables, sizeof(tables)))
		return false;
	memcpy(r->signature, "RSD PTR ", 8);
	memcpy(r->oem, "RNGSDE", 6);
	r->rsdt = table_end(w, rsdt);
	r->checksum = checksum(r, sizeof(*r));
	return true;
}

/* The words of the BIOS data area that kernels look at; IBM PC/AT Technical Reference, "BIOS". */
static void write_bda(uint8_t *ram)
{
	static const struct {
		uint16_t gpa, val;
	} words[] = {
		{ 0x40e, LOW_END >> 4 },   /* segment of the extended BIOS data area */
		{ 0x413, LOW_END / 1024 }, /* KiB of memory below it */
		{ 0x449, 80 << 8 | 3 },    /* video mode 3; columns, low byte */
		{ 0x44b, 0 },              /* columns, high byte */
		{ 0x463, 0x3d4 },          /* CRTC port */
		{ 0x484, 24 },             /* rows less one */
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		memcpy(ram + words[i].gpa, &words[i].val, sizeof(words[i].val));
}

int firmware_write(struct vm *vm)
{
	static const uint16_t blank = TEXT_BLANK;
	void *to = vm_ptr(vm, FIRMWARE_BASE, FIRMWARE_LEN);
	struct writer w = { .vm = vm, .gpa = FIRMWARE_BASE };

	if (!to || !write_mp(&w) || !write_acpi(&w))
		return -ENOSPC;
	memcpy(to, w.buf, sizeof(w.buf));
	write_bda(vm->ram);
	for (unsigned i = 0; i < TEXT_CELLS; i++)
		memcpy(vm->ram + TEXT_BASE + 2 * i, &blank, sizeof(blank));
	return 0;
}
