/* SPDX-License-Identifier: MIT */
/*
 * A kernel with the driver of an assigned device, that takes interrupts in all four ways there are:
 * from a device's line (the 8254 by way of the 8259A), from its local APIC's timer, from a
 * processor, and from the assigned device.  A second device is served by a second processor.
 *
 * With "paging" on the command line it runs with paging on.  Exits through port 0xf4 with 0x10 if
 * all is well, else 0x11.
 */
#include "guest/runtime/lapic.h"
#include "guest/runtime/runtime.h"
#include "ring.h"

extern const char trampoline[], trampoline_end[]; /* start.S */
void boot_main(uint32_t magic, const uint32_t *info) __attribute__((noreturn));
void second_main(void) __attribute__((noreturn));

#define SIPI_OTHERS (ICR_OTHERS | ICR_ASSERT | ICR_STARTUP | TRAMPOLINE >> 12)

#define VEC_PIT   0x20u /* of the first 8259A's line 0 */
#define VEC_TIMER 0x40u
#define VEC_IPI   0x41u
#define TICKS     3u

static volatile uint32_t pit_ticks, lapic_ticks, ipis[DEVICES_MAX], rung[DEVICES_MAX];
static volatile uint32_t second_up, second_done, failures;
static struct msg message[DEVICES_MAX], answer[DEVICES_MAX];

static void leave(void) __attribute__((noreturn));
static void leave(void)
{
	machine_exit(failures ? EXIT_BAD : EXIT_GOOD);
}

/* ---- interrupts ---- */

struct iframe;

__attribute__((interrupt)) static void on_pit(struct iframe *f)
{
	(void)f;
	pit_ticks++;
	outb(0x20, 0x20);
}

__attribute__((interrupt)) static void on_timer(struct iframe *f)
{
	(void)f;
	lapic_ticks++;
	LAPIC(EOI) = 0;
}

/* Each for one processor: of two, the local APIC's number is the processor's. */
__attribute__((interrupt)) static void on_ipi(struct iframe *f)
{
	(void)f;
	ipis[LAPIC(LAPIC_ID) >> 24 & 1]++;
	LAPIC(EOI) = 0;
}

__attribute__((interrupt)) static void on_device0(struct iframe *f)
{
	(void)f;
	rung[0]++;
	LAPIC(EOI) = 0;
}

__attribute__((interrupt)) static void on_device1(struct iframe *f)
{
	(void)f;
	rung[1]++;
	LAPIC(EOI) = 0;
}

static void cpu_init(void)
{
	idt_load();
	LAPIC(SVR) = SVR_ENABLE | 0xff;
}

/* Sleep until *@count is at least @n. */
static void wait_for(const volatile uint32_t *count, uint32_t n)
{
	while (*count < n)
		sti_hlt_cli();
}

static void external_interrupts(void)
{
	static const uint8_t init[][2] = { { 0x20, 0x11 }, { 0x21, VEC_PIT }, { 0x21, 0x04 },
					   { 0x21, 0x01 }, { 0x21, 0xfe },    { 0xa1, 0xff },
					   { 0x43, 0x34 }, { 0x40, 0x00 },    { 0x40, 0x10 } };

	for (unsigned i = 0; i < sizeof(init) / sizeof(init[0]); i++)
		outb(init[i][0], init[i][1]);
	wait_for(&pit_ticks, TICKS);
	outb(0x21, 0xff);
	print("external: %u interrupts of the 8254\n", TICKS);
}

static void system_interrupts(void)
{
	LAPIC(TIMER_DIVIDE) = 3;
	LAPIC(LVT_TIMER) = LVT_PERIODIC | VEC_TIMER;
	LAPIC(TIMER_INIT) = 100000;
	wait_for(&lapic_ticks, TICKS);
	LAPIC(TIMER_INIT) = 0;
	print("system: %u interrupts of the local APIC's timer\n", TICKS);
}

static void inter_processor_interrupts(void)
{
	for (unsigned i = 0; i < TICKS; i++) {
		LAPIC(ICR_LOW) = ICR_SELF | VEC_IPI;
		wait_for(&ipis[0], i + 1);
	}
	print("ipi: %u interrupts from a processor\n", TICKS);
}

/* ---- the assigned device ---- */

static struct shm *device(unsigned i)
{
	return (struct shm *)DEVICE_GPA(i);
}

/* Where there is none, the bus reads as ones. */
static bool device_present(unsigned i)
{
	return __atomic_load_n(&device(i)->magic, __ATOMIC_ACQUIRE) == SHM_MAGIC;
}

static bool is_right(const struct msg *m, uint32_t seq)
{
	if (m->seq != seq || m->len != msg_len(seq))
		return false;
	for (uint32_t i = 0; i < m->len; i++)
		if (m->data[i] != msg_byte(seq, i))
			return false;
	return true;
}

/*
 * The next request, asleep until there was another interrupt than the @seen, so that each request
 * shows what one costs.  (A driver in a hurry would look into the ring first.)
 */
static int request(unsigned i, uint32_t *seen)
{
	int got;

	do {
		while (rung[i] == *seen)
			sti_hlt_cli();
		*seen = rung[i];
		got = ring_receive(&device(i)->to_guest, &message[i]);
	} while (!got);
	return got;
}

static void serve(unsigned i)
{
	volatile uint32_t *doorbell = (volatile uint32_t *)(device(i) + 1);
	struct shm *s = device(i);
	struct msg *m = &message[i], *a = &answer[i];
	uint32_t seq = 0, bad = 0, seen = 0;

	cli();
	__atomic_store_n(&s->ready, SHM_MAGIC, __ATOMIC_RELEASE);
	*doorbell = 0;
	while (request(i, &seen) > 0 && m->seq != MSG_END) {
		bad += !is_right(m, ++seq);
		for (unsigned k = 0; k < SHM_ADDS; k++)
			__atomic_fetch_add(&s->sum, 1, __ATOMIC_SEQ_CST);
		a->seq = m->seq;
		a->len = m->len;
		for (uint32_t k = 0; k < m->len; k++)
			a->data[k] = m->data[k] ^ 0xff;
		bad += !ring_send(&s->to_device, a);
		*doorbell = 0;
	}
	bad += m->seq != MSG_END;
	__atomic_fetch_add(&failures, bad, __ATOMIC_SEQ_CST);
	if (i == 0)
		print("assigned: %u requests of device 0, %u errors\n", seq, bad);
	else
		second_done = seq;
}

/* ---- start ---- */

static uint32_t page_directory[1024] __attribute__((aligned(4096)));
static bool paging;

/* Linear is physical, in 4 MiB pages.  SDM Vol. 3A, "32-Bit Paging" (4.3). */
static void paging_on(void)
{
	for (uint32_t i = 0; i < 1024; i++)
		page_directory[i] = i << 22 | 0x83;
	WRITE_CR(4, READ_CR(4) | 0x10);
	WRITE_CR(3, page_directory);
	WRITE_CR(0, READ_CR(0) | 0x80000000u);
}

static bool has_word(const char *s, const char *word)
{
	for (; *s; s++) {
		const char *a = s, *b = word;

		while (*b && *a == *b) {
			a++;
			b++;
		}
		if (!*b)
			return true;
	}
	return false;
}

/* The second processor: its device, and then word to the first. */
void second_main(void)
{
	cpu_init();
	if (paging)
		paging_on();
	second_up = 1;
	serve(1);
	LAPIC(ICR_HIGH) = 0;
	LAPIC(ICR_LOW) = VEC_IPI;
	for (;;)
		__asm__ volatile("cli\n\thlt");
}

static void start_second(void)
{
	memcpy((void *)TRAMPOLINE, trampoline, (unsigned)(trampoline_end - trampoline));
	/* Without the pauses between them that a board of real chips would want. */
	LAPIC(ICR_LOW) = ICR_OTHERS | ICR_ASSERT | ICR_INIT;
	LAPIC(ICR_LOW) = SIPI_OTHERS;
	while (!second_up)
		__asm__ volatile("pause");
}

void boot_main(uint32_t magic, const uint32_t *info)
{
	bool two;

	idt_gate(VEC_PIT, on_pit, 0);
	idt_gate(VEC_TIMER, on_timer, 0);
	idt_gate(VEC_IPI, on_ipi, 0);
	idt_gate(DEVICE_VECTOR(0), on_device0, 0);
	idt_gate(DEVICE_VECTOR(1), on_device1, 0);
	paging = has_word(command_line(magic, info), "paging");
	cpu_init();
	if (paging)
		paging_on();
	external_interrupts();
	system_interrupts();
	inter_processor_interrupts();
	if (!device_present(0)) {
		print("there is no assigned device at %x\n", DEVICE_GPA(0));
		failures++;
		leave();
	}
	two = device_present(1);
	if (two)
		start_second();
	serve(0);
	if (two) {
		wait_for(&ipis[0], TICKS + 1);
		print("assigned: %u requests of device 1\n", second_done);
	}
	leave();
}
