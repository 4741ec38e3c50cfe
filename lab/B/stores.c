/* SPDX-License-Identifier: MIT */
/* Part B: the handlers, one instruction at a time, and guests that need all of the part. */
#include <stdio.h>
#include <string.h>

#include "decoder/scan.h"
#include "lab/grade/item.h"
#include "tests/emu_fixture.h"

extern const char *const conform_lines[];

#define FILL 0x55555555u

/* A vCPU whose tables and selectors are nobody else's; EBX points at data that are all FILL. */
static struct fx *vcpu_new(void)
{
	static struct fx f;

	fx_init(&f);
	f.v.regs.gpr[EBX] = FX_DATA;
	f.v.sh.gdtr = (struct desc_table){ .base = 0x89abcdef, .limit = 0x1234 };
	f.v.sh.idtr = (struct desc_table){ .base = 0x76543210, .limit = 0x07ff };
	f.v.sh.ldtr.sel = 0x5678;
	f.v.sh.tr.sel = 0x9ab8;
	f.v.regs.seg[SEG_FS].sel = 0xfed3;
	for (unsigned i = 0; i < 16; i++)
		fx_w32(&f, FX_DATA + 4 * i, FILL);
	f.v.regs.gpr[EAX] = f.v.regs.gpr[ECX] = f.v.regs.gpr[EDX] = 0xa1b2c3d4;
	return &f;
}

static void run(struct fx *f, const char *hex, const char *text)
{
	int ret;

	f->v.regs.eip = FX_CODE;
	memset(&f->v.fault, 0, sizeof(f->v.fault));
	ret = fx_run(f, hex);
	if (ret == EMU_FAULT)
		LOSE("%s: expected that it is carried out, got exception %u", text,
		     f->v.fault.vector);
	WANT(ret, EMU_OK, "%s: result of the handler", text);
}

static void faults(struct fx *f, const char *hex, const char *text, unsigned vector)
{
	int ret;

	f->v.regs.eip = FX_CODE;
	memset(&f->v.fault, 0, sizeof(f->v.fault));
	ret = fx_run(f, hex);
	if (ret == EMU_OK)
		LOSE("%s: expected exception %u, got none", text, vector);
	WANT(ret, EMU_FAULT, "%s: result of the handler", text);
	WANT(f->v.fault.vector, vector, "%s: exception", text);
}

static void reg(struct fx *f, unsigned gpr, uint32_t want, const char *text)
{
	WANT(f->v.regs.gpr[gpr], want, "%s: the register", text);
}

/* The @len bytes from @gpa are @want, and those around them what they were. */
static void memory(struct fx *f, uint32_t gpa, const void *want, unsigned len, const char *text)
{
	for (unsigned i = 0; i < len; i++)
		WANT(f->vm.ram[gpa + i], ((const uint8_t *)want)[i], "%s: byte %u", text, i);
	WANT(f->vm.ram[gpa - 1], FILL & 0xff, "%s: the byte before", text);
	WANT(f->vm.ram[gpa + len], FILL & 0xff, "%s: the byte behind the %u", text, len);
}

/* Paging on: all of the RAM as it is, but for the page at @absent. */
static void paging(struct fx *f, uint32_t absent)
{
	fx_w32(f, 0x10000, 0x11000 | 3);
	for (uint32_t page = 0; page < 1024; page++)
		fx_w32(f, 0x11000 + 4 * page, page << 12 | (page << 12 == absent ? 0 : 3));
	f->v.sh.cr3 = 0x10000;
	f->v.sh.cr0 |= CR0_PG;
}

static const uint8_t gdtr[6] = { 0x34, 0x12, 0xef, 0xcd, 0xab, 0x89 };
static const uint8_t idtr[6] = { 0xff, 0x07, 0x10, 0x32, 0x54, 0x76 };

ITEM(store_tables)
{
	struct fx *f = vcpu_new();

	f->v.regs.gpr[EBX] += 8;
	run(f, "0f0103", "sgdt (%ebx)");
	memory(f, FX_DATA + 8, gdtr, 6, "sgdt (%ebx)");
	f = vcpu_new();
	run(f, "0f014b11", "sidt 17(%ebx)");
	memory(f, FX_DATA + 17, idtr, 6, "sidt 17(%ebx)");
	f = vcpu_new();
	run(f, "660f014308", "16-bit sgdt 8(%ebx)");
	memory(f, FX_DATA + 8, gdtr, 6, "16-bit sgdt 8(%ebx)");
	f = vcpu_new();
	f->v.regs.seg[SEG_ES].base = FX_DATA + 16;
	f->v.regs.gpr[EBX] = 0x12340004;
	run(f, "26670f010f", "sidt %es:(%bx), addresses of 16 bits, segment with a base");
	memory(f, FX_DATA + 20, idtr, 6, "sidt %es:(%bx)");
	/* Not privileged: a program may ask, too. */
	f = vcpu_new();
	fx_cpl(f, 3);
	f->v.regs.gpr[EBX] += 8;
	run(f, "0f0103", "sgdt (%ebx) at CPL 3");
	memory(f, FX_DATA + 8, gdtr, 6, "sgdt (%ebx) at CPL 3");
	/* The segment ends after five of the bytes. */
	f = vcpu_new();
	f->v.regs.seg[SEG_DS].limit = FX_DATA + 12;
	f->v.regs.gpr[EBX] += 8;
	faults(f, "0f0103", "sgdt (%ebx) over the limit of DS", VEC_GP);
	WANT(fx_r32(f, FX_DATA + 8), FILL, "sgdt (%%ebx) over the limit of DS: memory");
	f = vcpu_new();
	f->v.regs.seg[SEG_ES].unusable = true;
	faults(f, "260f010b", "sidt %es:(%ebx) with a null selector in ES", VEC_GP);
	/* Two of the bytes are on a page that is present. */
	f = vcpu_new();
	paging(f, FX_DATA + 0x1000);
	fx_w16(f, FX_DATA + 0xffe, FILL & 0xffff);
	f->v.regs.gpr[EBX] = FX_DATA + 0xffe;
	faults(f, "0f0103", "sgdt (%ebx) into a page that is not present", VEC_PF);
	WANT(f->v.fault.cr2, FX_DATA + 0x1000, "sgdt (%%ebx) into a page not present: CR2");
	WANT(f->v.fault.error, 2, "sgdt (%%ebx) into a page not present: error code");
	WANT(fx_r16(f, FX_DATA + 0xffe), FILL & 0xffff,
	     "sgdt (%%ebx) into a page not present: memory before it");
}

ITEM(store_msw)
{
	struct fx *f = vcpu_new();

	f->v.sh.cr0 = 0x8005003b;
	f->v.sh.cr3 = 0x10000;
	paging(f, 0);
	f->v.sh.cr0 = 0x8005003b;
	run(f, "0f01e0", "smsw %eax");
	reg(f, EAX, 0x8005003b, "smsw %eax");
	run(f, "660f01e1", "smsw %cx");
	reg(f, ECX, 0xa1b2003b, "smsw %cx");
	run(f, "0f016308", "smsw 8(%ebx)");
	memory(f, FX_DATA + 8, "\x3b\0", 2, "smsw 8(%ebx)");
	run(f, "660f016310", "smsw 16(%ebx), operand size 16");
	memory(f, FX_DATA + 16, "\x3b\0", 2, "smsw 16(%ebx), operand size 16");
	f = vcpu_new();
	fx_cpl(f, 3);
	f->v.sh.cr0 = CR0_PE | CR0_TS | CR0_ET;
	run(f, "0f01e2", "smsw %edx at CPL 3");
	reg(f, EDX, CR0_PE | CR0_TS | CR0_ET, "smsw %edx at CPL 3");
	f->v.regs.seg[SEG_DS].limit = FX_DATA;
	faults(f, "0f0123", "smsw (%ebx) over the limit of DS", VEC_GP);
	fx_fini(f);
	fx_init_real(f);
	if (fx_run(f, "0f01e0") != EMU_OK)
		LOSE("smsw %%ax in real mode: expected that it is carried out, got exception %u",
		     f->v.fault.vector);
	WANT(f->v.regs.gpr[EAX] & 0xffff, f->v.sh.cr0 & 0xffff, "smsw %%ax in real mode: AX");
}

ITEM(store_selectors)
{
	struct fx *f = vcpu_new();

	run(f, "0f00c0", "sldt %eax");
	reg(f, EAX, 0x5678, "sldt %eax");
	run(f, "660f00c9", "str %cx");
	reg(f, ECX, 0xa1b29ab8, "str %cx");
	run(f, "0f004308", "sldt 8(%ebx)");
	memory(f, FX_DATA + 8, "\x78\x56", 2, "sldt 8(%ebx)");
	run(f, "0f004b10", "str 16(%ebx)");
	memory(f, FX_DATA + 16, "\xb8\x9a", 2, "str 16(%ebx)");
	f = vcpu_new();
	run(f, "8cc8", "mov %cs,%eax");
	reg(f, EAX, FX_CS0, "mov %cs,%eax");
	run(f, "8ce1", "mov %fs,%ecx, as loaded with RPL 3");
	reg(f, ECX, 0xfed3, "mov %fs,%ecx, as loaded with RPL 3");
	run(f, "668cd2", "mov %ss,%dx");
	reg(f, EDX, 0xa1b20000 | FX_DS0, "mov %ss,%dx");
	run(f, "8c6308", "mov %fs,8(%ebx)");
	memory(f, FX_DATA + 8, "\xd3\xfe", 2, "mov %fs,8(%ebx)");
	f->v.regs.seg[SEG_GS] = (struct segment){ .sel = 3, .unusable = true };
	run(f, "8ce8", "mov %gs,%eax, a null selector with RPL 3");
	reg(f, EAX, 3, "mov %gs,%eax, a null selector with RPL 3");
	f->v.regs.seg[SEG_DS].limit = FX_DATA;
	faults(f, "8c23", "mov %fs,(%ebx) over the limit of DS", VEC_GP);
	faults(f, "0f000b", "str (%ebx) over the limit of DS", VEC_GP);
	fx_fini(f);
	fx_init_real(f);
	if (fx_run(f, "8cd0") != EMU_OK)
		LOSE("mov %%ss,%%ax in real mode: expected that it is carried out, got exception "
		     "%u",
		     f->v.fault.vector);
	WANT(f->v.regs.gpr[EAX] & 0xffff, 0x3000, "mov %%ss,%%ax in real mode: AX");
	WANT(fx_run(f, "0f00c0"), EMU_FAULT, "sldt %%eax in real mode: result of the handler");
	WANT(f->v.fault.vector, VEC_UD, "sldt %%eax in real mode: exception");
	WANT(fx_run(f, "0f00c8"), EMU_FAULT, "str %%eax in real mode: result of the handler");
}

/* ---- with guests ---- */

/* Is there anything to be had from a guest? */
static void anything(void)
{
	static uint8_t bytes[SCAN_PAGE] = { 0x9d, 0xeb, 0xfd };
	const scan_bitmap entries = { 1 };
	const struct scan_input in = {
		.bytes = bytes, .avail = SCAN_PAGE, .bits = 32, .entries = entries
	};
	struct scan_result out;

	lab_quick(1);
	run(vcpu_new(), "8cc8", "mov %cs,%eax");
	scan_page(&in, &out);
	lab_quick(0);
	WANT(scan_test(out.patch, 0), 1, "a page with \"1: popf; jmp 1b\": patch of the popf");
}

ITEM(boot_peek)
{
	const char *out, *no;

	anything();
	out = lab_boot("peek", ARGS("-m", "16"), 3, 33, "ok interrupts after popf", NULL);
	no = strstr(out, "\nno ");
	if (no)
		LOSE("the guest: expected what it has loaded, got \"%.*s\"",
		     (int)strcspn(no + 1, "\n"), no + 1);
}

ITEM(boot_minios)
{
	anything();
	lab_boot("minios", ARGS("--append", "demo"), 4, 33, "50 checks, 0 failed", NULL);
}

/* As it is at the start of a line of @out, up to the colon; NULL if it is not there. */
static const char *find_line(const char *out, const char *line)
{
	const char *at = out;
	size_t len = strstr(line, ": ") + 2 - line;

	while (at && strncmp(at, line, len)) {
		at = strchr(at, '\n');
		at = at ? at + 1 : NULL;
	}
	return at;
}

ITEM(boot_conform)
{
	const char *out;

	anything();
	out = lab_boot("conform", ARGS("-m", "64", "--append", "flags segstore dtable control"), 4,
		       33, NULL, NULL);
	for (const char *const *line = conform_lines; *line; line++) {
		const char *got = find_line(out, *line);
		size_t len = got ? strcspn(got, "\n") : 0;

		if (!got)
			LOSE("conform: expected \"%s\", got no such line", *line);
		if (len != strlen(*line) || strncmp(got, *line, len))
			LOSE("conform: expected \"%s\", got \"%.*s\"", *line, (int)len, got);
	}
}
