/* SPDX-License-Identifier: MIT */
/*
 * Which interrupt comes first, which must wait: task priority, classes, nesting.
 * Source: SDM Vol. 3A, "Task and Processor Priorities" (10.8.3.1), "Lowest Priority Delivery Mode"
 * (10.6.2.4), "Interrupt Acceptance for Fixed Interrupts" (10.8.4).
 */
#include "apic.h"

#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))

/* One vector under each task priority. */
static void task_priority(void)
{
	static const uint8_t tprs[] = { 0x00, 0x0f, 0x10, 0x1f, 0x2f, 0x30,
					0x3f, 0x40, 0x4f, 0xf0, 0xff };
	static const uint8_t sent[] = { 0x1f, 0x30, 0x3f, 0xff };

	for (unsigned t = 0; t < LENGTH(tprs); t++)
		for (unsigned i = 0; i < LENGTH(sent); i++) {
			const char *held, *late;
			uint32_t ppr;

			wr(TPR, tprs[t]);
			self(sent[i]);
			ppr = rd(PPR);
			window();
			held = taken();
			wr(TPR, 0);
			window();
			late = taken();
			line(name("tpr/%02x/%02x", tprs[t], sent[i]), "ppr %02x: %s, then %s", ppr,
			     held, late);
		}
}

static void order(const char *what, const uint8_t *sent, unsigned n)
{
	const char *irr;

	for (unsigned i = 0; i < n; i++) {
		ends[sent[i]] = END_LAPIC;
		self(sent[i]);
	}
	irr = vectors(IRR);
	window();
	line(name("order/%s", what), "irr %s: %s", irr, taken());
}
#define ORDER(what, ...) \
	order(what, (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))

static void orders(void)
{
	ORDER("one", 0x40);
	ORDER("rising", 0x31, 0x42, 0x53, 0x64);
	ORDER("falling", 0x64, 0x53, 0x42, 0x31);
	ORDER("mixed", 0x53, 0x31, 0x64, 0x42);
	ORDER("one class", 0x41, 0x4f, 0x40, 0x48);
	ORDER("twice the same", 0x41, 0x41);
	ORDER("thrice and another", 0x41, 0x51, 0x41, 0x41);
	ORDER("ends", 0x12, 0xff, 0x80, 0x7f);
	ORDER("class 1", 0x1f, 0x12, 0x18);
	ORDER("word borders", 0x1f, 0x20, 0x3f, 0x40, 0x5f, 0x60, 0xdf, 0xe0);
	ORDER("class 1 after 2", 0x20, 0x14);
}

/* ---- inside a handler ---- */

static uint8_t inner[4];
static unsigned inner_count;

static void send_inner(void)
{
	for (unsigned i = 0; i < inner_count; i++)
		self(inner[i]);
	sti_nop_cli();
	sti_nop_cli();
	inner_count = 0; /* once */
}

static void nested(const char *what, uint8_t outer, unsigned n, const uint8_t *sent)
{
	memcpy(inner, sent, n);
	inner_count = n;
	on_vector[outer] = send_inner;
	self(outer);
	window();
	on_vector[outer] = NULL;
	line(name("nested/%s", what), "%s", taken());
}
#define NESTED(what, outer, ...)                                      \
	nested(what, outer, sizeof((const uint8_t[]){ __VA_ARGS__ }), \
	       (const uint8_t[]){ __VA_ARGS__ })

static void nesting(void)
{
	NESTED("higher class", 0x41, 0x51);
	NESTED("lower class", 0x41, 0x31);
	NESTED("same class, higher", 0x41, 0x4f);
	NESTED("same class, lower", 0x4f, 0x41);
	NESTED("itself", 0x41, 0x41);
	NESTED("two higher", 0x41, 0x51, 0x61);
	NESTED("two higher, falling", 0x41, 0x61, 0x51);
	NESTED("higher and lower", 0x41, 0x31, 0x51);
	NESTED("all kinds", 0x41, 0x31, 0x51, 0x41, 0x4f);
	NESTED("lowest outer", 0x12, 0x30);
	NESTED("highest outer", 0xf0, 0xff, 0xef);
}

static void raise_deeper(void)
{
	self(0x61);
	sti_nop_cli();
}

static void raise_deep(void)
{
	self(0x51);
	sti_nop_cli();
}

/* The registers inside, at three depths. */
static void look(void)
{
	line("nested/registers at depth 3", "ppr %02x isr %s irr %s", rd(PPR), vectors(ISR),
	     vectors(IRR));
}

static void depth(void)
{
	on_vector[0x41] = raise_deep;
	on_vector[0x51] = raise_deeper;
	on_vector[0x61] = look;
	self(0x41);
	self(0x31);
	window();
	line("nested/three deep", "%s", taken());
	quiet();
}

/* TPR written inside a handler: raises and lowers what may come. */
static uint8_t tpr_inside;

static void tpr_handler(void)
{
	wr(TPR, tpr_inside);
	self(0x51);
	self(0x71);
	sti_nop_cli();
	sti_nop_cli();
	wr(TPR, 0);
	on_vector[0x41] = NULL;
}

static void tpr_in_handler(void)
{
	static const uint8_t tprs[] = { 0, 0x20, 0x4f, 0x50, 0x5f, 0x6f, 0x70, 0xff };

	for (unsigned i = 0; i < LENGTH(tprs); i++) {
		tpr_inside = tprs[i];
		on_vector[0x41] = tpr_handler;
		self(0x41);
		window();
		line(name("nested/tpr %02x", tprs[i]), "%s", taken());
	}
	quiet();
}

/* PPR and APR from TPR, ISR and IRR. */
static uint8_t look_tpr, look_irr;
static uint32_t ppr_seen, apr_seen;

static void look_handler(void)
{
	wr(TPR, look_tpr);
	if (look_irr)
		self(look_irr);
	ppr_seen = rd(PPR);
	apr_seen = rd(APR);
	wr(TPR, 0);
}

static void formulas(void)
{
	static const struct {
		uint8_t tpr, isr, irr;
	} in[] = {
		{ 0x00, 0x00, 0x00 }, { 0x35, 0x00, 0x00 }, { 0x35, 0x00, 0x31 },
		{ 0x35, 0x00, 0x41 }, { 0x00, 0x51, 0x00 }, { 0x35, 0x51, 0x00 },
		{ 0x55, 0x51, 0x00 }, { 0x65, 0x51, 0x00 }, { 0x00, 0x51, 0x31 },
		{ 0x00, 0x51, 0x81 }, { 0x75, 0x51, 0x31 }, { 0x75, 0x51, 0x81 },
		{ 0x75, 0x31, 0x21 }, { 0xff, 0xf1, 0xe1 },
	};

	for (unsigned i = 0; i < LENGTH(in); i++) {
		look_tpr = in[i].tpr;
		look_irr = in[i].irr;
		if (in[i].isr) {
			on_vector[in[i].isr] = look_handler;
			self(in[i].isr);
			window();
			on_vector[in[i].isr] = NULL;
		} else {
			look_handler();
		}
		window();
		taken();
		line(name("ppr/%02x,%02x,%02x", in[i].tpr, in[i].isr, in[i].irr), "%02x", ppr_seen);
		line(name("apr/%02x,%02x,%02x", in[i].tpr, in[i].isr, in[i].irr), "%02x", apr_seen);
	}
}

void cases_priority(void)
{
	task_priority();
	orders();
	nesting();
	depth();
	tpr_in_handler();
	formulas();
}
