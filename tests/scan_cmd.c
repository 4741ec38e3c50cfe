/* SPDX-License-Identifier: MIT */
/* `ringside scan` as a user meets it: on minios, on images made here, and on broken ones. */
#include "tests/child.h"
#include "vmm/scan_image.h"

#include <criterion/criterion.h>
#include <criterion/logging.h>
#include <errno.h>
#include <json-c/json.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/symbols.h"

/* ---- files ---- */

static char scan_dir[] = "/tmp/ringside-scan-XXXXXX";

static void make_dir(void)
{
	cr_assert_not_null(mkdtemp(scan_dir));
}

static void remove_dir(void)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -rf %s", scan_dir);
	cr_expect_eq(system(command), 0);
}

/* The path of a file in the test's directory; in one of a few static buffers. */
static const char *scan_path(const char *name)
{
	static char path[8][64];
	static unsigned turn;

	turn = (turn + 1) % 8;
	snprintf(path[turn], sizeof(path[turn]), "%s/%s", scan_dir, name);
	return path[turn];
}

static const char *write_file(const char *name, const void *bytes, size_t size)
{
	const char *path = scan_path(name);
	FILE *f = fopen(path, "w");

	cr_assert_not_null(f);
	cr_assert_eq(fwrite(bytes, 1, size, f), size);
	cr_assert_eq(fclose(f), 0);
	return path;
}

static uint8_t *read_guest(const char *name, size_t *size)
{
	FILE *f = fopen(child_guest(name), "r");
	uint8_t *bytes = malloc(1 << 22);

	cr_assert(f && bytes, "no guest %s", name);
	*size = fread(bytes, 1, 1 << 22, f);
	fclose(f);
	return bytes;
}

/* ---- images made here ---- */

#define CODE_GVA 0xc0100000u

struct image_spec {
	const void *code;
	size_t size;
	size_t symbol_at; /* 0: no symbol table; else there is "entry" at that offset */
	bool sections;    /* false: one executable segment and no section headers */
};

static const char image_names[] = "\0.text\0.symtab\0.strtab\0entry";

static Elf32_Shdr section(unsigned name, unsigned type, unsigned flags, size_t gva, size_t off,
			  size_t size)
{
	return (Elf32_Shdr){ .sh_name = name,
			     .sh_type = type,
			     .sh_flags = flags,
			     .sh_addr = (uint32_t)gva,
			     .sh_offset = (uint32_t)off,
			     .sh_size = (uint32_t)size };
}

/* An ELF file: header, one segment, code, symbols, names, section headers. */
static const char *write_image(const char *name, const struct image_spec *spec)
{
	size_t code = sizeof(Elf32_Ehdr) + sizeof(Elf32_Phdr),
	       syms = (code + spec->size + 15) & ~15ul;
	size_t names = syms + 2 * sizeof(Elf32_Sym), shdrs = names + sizeof(image_names);
	size_t end = shdrs + 4 * sizeof(Elf32_Shdr);
	uint8_t *file = calloc(1, end);
	Elf32_Ehdr *eh = (Elf32_Ehdr *)file;
	Elf32_Phdr *ph = (Elf32_Phdr *)(eh + 1);
	Elf32_Shdr sh[4] = {
		{ 0 },
		section(1, SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, CODE_GVA, code, spec->size),
		section(15, SHT_STRTAB, 0, 0, names, sizeof(image_names)),
		section(7, SHT_SYMTAB, 0, 0, syms, 2 * sizeof(Elf32_Sym)),
	};
	Elf32_Sym sym = { .st_name = 23,
			  .st_value = (uint32_t)(CODE_GVA + spec->symbol_at),
			  .st_info = ELF32_ST_INFO(STB_GLOBAL, STT_FUNC),
			  .st_shndx = 1 };
	const char *path;

	cr_assert_not_null(file);
	*eh = (Elf32_Ehdr){ .e_ident = { 0x7f, 'E', 'L', 'F', 1, 1, 1 },
			    .e_type = ET_EXEC,
			    .e_machine = EM_386,
			    .e_version = 1,
			    .e_phoff = sizeof(*eh),
			    .e_ehsize = sizeof(*eh),
			    .e_phentsize = sizeof(*ph),
			    .e_phnum = 1 };
	*ph = (Elf32_Phdr){ .p_type = PT_LOAD,
			    .p_flags = PF_R | PF_X,
			    .p_offset = (uint32_t)code,
			    .p_vaddr = CODE_GVA,
			    .p_filesz = (uint32_t)spec->size,
			    .p_memsz = (uint32_t)spec->size };
	memcpy(file + code, spec->code, spec->size);
	memcpy(file + syms + sizeof(sym), &sym, sizeof(sym));
	memcpy(file + names, image_names, sizeof(image_names));
	sh[3].sh_link = 2;
	sh[3].sh_entsize = sizeof(sym);
	if (spec->sections) {
		eh->e_shoff = (uint32_t)shdrs;
		eh->e_shentsize = sizeof(Elf32_Shdr);
		eh->e_shnum = spec->symbol_at ? 4 : 3;
		eh->e_shstrndx = 2;
		memcpy(file + shdrs, sh, sizeof(sh));
	}
	path = write_file(name, file, end);
	free(file);
	return path;
}

/* ---- running it ---- */

static struct child scan_child; /* large */

static const char *scan_text(int status, const char *image, const char *option)
{
	struct child *c = &scan_child;

	memset(c, 0, sizeof(*c));
	c->argv[0] = child_ringside();
	c->argv[1] = "scan";
	c->argv[2] = image;
	c->argv[3] = option;
	child_run(c);
	cr_assert_eq(c->status, status, "status %d: %s", c->status, c->err);
	return c->out;
}

static struct json_object *scan_json(const char *image, const char *option)
{
	struct child *c = &scan_child;
	struct json_object *o;
	char command[300];

	memset(c, 0, sizeof(*c));
	snprintf(command, sizeof(command), "'%s' scan --json %s '%s' > %s", child_ringside(),
		 option, image, scan_path("report.json"));
	c->argv[0] = "sh";
	c->argv[1] = "-c";
	c->argv[2] = command;
	child_run(c);
	cr_assert_eq(c->status, 0, "%s", c->err);
	cr_assert_str_empty(c->err); /* progress is for terminals */
	o = json_object_from_file(scan_path("report.json"));
	cr_assert_not_null(o, "no JSON: %s", json_util_get_last_err());
	return o;
}

static int64_t number(struct json_object *o, const char *key)
{
	struct json_object *v;

	cr_assert(json_object_object_get_ex(o, key, &v), "no key %s", key);
	cr_assert(json_object_is_type(v, json_type_int), "%s is no number", key);
	return json_object_get_int64(v);
}

static const char *string(struct json_object *o, const char *key)
{
	struct json_object *v;

	cr_assert(json_object_object_get_ex(o, key, &v), "no key %s", key);
	return json_object_get_string(v);
}

/* How many instructions of operation @op; -1: no row. */
static int64_t count_of(struct json_object *report, const char *op)
{
	struct json_object *rows;
	int64_t n = -1;

	cr_assert(json_object_object_get_ex(report, "rows", &rows));
	for (size_t i = 0; i < json_object_array_length(rows); i++) {
		struct json_object *row = json_object_array_get_idx(rows, i);

		if (strcmp(string(row, "op"), op))
			continue;
		n = (n < 0 ? 0 : n) + number(row, "count");
	}
	return n;
}

/* ---- against objdump ---- */

/* Does the line "mnemonic operands" of objdump show operation @op? */
static bool line_shows(const char *text, const char *op)
{
	size_t len = strlen(op);
	const char *args = text + strcspn(text, " \n");

	if (!strcmp(op, "mov from cr"))
		return !strncmp(text, "mov ", 4) && strstr(text, " %cr");
	if (!strcmp(op, "mov to cr"))
		return !strncmp(text, "mov ", 4) && strstr(text, ",%cr");
	if (!strncmp(text, op, len) && (text[len] == ' ' || text[len] == '\n'))
		return true;
	/* lgdtl, iretl: objdump gives some a size, as AT&T syntax allows */
	return !strncmp(text, op, len) && text + len + 1 == args && strchr("lwd", text[len]);
}

#define OBJDUMP_OPS 22
static const char *const objdump_ops[OBJDUMP_OPS] = {
	"cli",  "sti",  "hlt",         "in",        "out",   "lgdt",  "lidt", "lldt",
	"ltr",  "clts", "rdmsr",       "wrmsr",     "rdtsc", "cpuid", "iret", "pushf",
	"popf", "sgdt", "mov from cr", "mov to cr", "lar",   "lsl",
};

static void objdump_counts(const char *image, unsigned counts[OBJDUMP_OPS])
{
	char command[200], line[256];
	FILE *f;

	snprintf(command, sizeof(command), "objdump -d --no-show-raw-insn '%s' 2>/dev/null", image);
	f = popen(command, "r");
	cr_assert_not_null(f);
	while (fgets(line, sizeof(line), f)) {
		char *text = strchr(line, '\t');

		for (size_t i = 0; text && i < OBJDUMP_OPS; i++)
			counts[i] += line_shows(text + 1, objdump_ops[i]);
	}
	pclose(f);
}

Test(scan_cmd, counts_agree_with_objdump, .init = make_dir, .fini = remove_dir)
{
	struct json_object *report = scan_json(child_guest("minios"), "");
	unsigned counts[OBJDUMP_OPS] = { 0 }, kinds = 0;

	objdump_counts(child_guest("minios"), counts);
	for (size_t i = 0; i < OBJDUMP_OPS; i++) {
		int64_t mine = count_of(report, objdump_ops[i]);

		cr_expect_eq(mine < 0 ? 0 : mine, counts[i], "%s: %jd, objdump says %u",
			     objdump_ops[i], (intmax_t)mine, counts[i]);
		kinds += counts[i] > 0;
	}
	cr_expect_gt(kinds, 10, "objdump found nothing to compare with");
	cr_expect_gt(number(report, "symbols"), 10);
	json_object_put(report);
}

Test(scan_cmd, numbers_of_the_report_add_up, .init = make_dir, .fini = remove_dir)
{
	struct json_object *report = scan_json(child_guest("minios"), "--all"), *rows, *v;
	int64_t all = 0, silent = 0, kinds = 0;

	cr_assert(json_object_object_get_ex(report, "rows", &rows));
	for (size_t i = 0; i < json_object_array_length(rows); i++) {
		struct json_object *row = json_object_array_get_idx(rows, i);
		int64_t count = number(row, "count");
		size_t places;

		all += count;
		cr_assert(json_object_object_get_ex(row, "places", &v));
		places = json_object_array_length(v);
		cr_assert(json_object_object_get_ex(row, "patch", &v));
		cr_expect_eq((int64_t)places, json_object_get_boolean(v) ? count : 0);
		if (!json_object_get_boolean(v))
			continue;
		silent += count;
		kinds++;
	}
	cr_expect_eq(number(report, "sensitive"), all);
	cr_expect_eq(number(report, "not_trapping"), silent);
	cr_expect_eq(number(report, "not_trapping_kinds"), kinds);
	cr_assert(json_object_object_get_ex(report, "virtualizable", &v));
	cr_expect_eq(json_object_get_boolean(v), silent == 0);
	cr_expect_gt(number(report, "instructions"), all);
	json_object_put(report);
}

/* Without symbols the sweep meets a few data bytes, and must be in step again soon. */
Test(scan_cmd, a_stripped_image_has_the_same_instructions, .init = make_dir, .fini = remove_dir)
{
	struct json_object *whole = scan_json(child_guest("minios"), ""), *stripped;
	char command[200];

	snprintf(command, sizeof(command), "objcopy --strip-all '%s' %s", child_guest("minios"),
		 scan_path("stripped"));
	cr_assert_eq(system(command), 0);
	stripped = scan_json(scan_path("stripped"), "");
	cr_expect_eq(number(stripped, "symbols"), 0);
	cr_expect_eq(number(stripped, "bytes"), number(whole, "bytes"));
	cr_expect_gt(number(stripped, "sensitive"), number(whole, "sensitive") * 95 / 100);
	cr_expect_lt(number(stripped, "sensitive"), number(whole, "sensitive") * 105 / 100);
	json_object_put(whole);
	json_object_put(stripped);
	cr_expect_not_null(strstr(scan_text(0, scan_path("stripped"), NULL), "  .text+0x"));
}

/* ---- what it says ---- */

static const uint8_t trapping_code[] = {
	0xfa, 0xf4, 0x0f, 0x20, 0xc0, 0xe4, 0x60, 0xf3, 0x90, 0xcc
};

Test(scan_cmd, a_kernel_that_always_traps_is_virtualizable, .init = make_dir, .fini = remove_dir)
{
	struct image_spec spec = { trapping_code, sizeof(trapping_code), 0, true };
	const char *out = scan_text(0, write_image("traps", &spec), NULL);

	cr_expect_not_null(strstr(out, "virtualizable in the classical sense (Popek and Goldberg): "
				       "yes: 0 sensitive instructions of 0 kinds do not trap\n"),
			   "%s", out);
	cr_expect_not_null(strstr(out, "  hlt "), "%s", out);
	cr_expect_not_null(strstr(out, "\n0 bytes are not code\n"), "%s", out);
	cr_expect_null(strstr(out, "does not always trap"), "%s", out);
}

Test(scan_cmd, twenty_places_unless_all_are_asked_for, .init = make_dir, .fini = remove_dir)
{
	uint8_t code[50];
	struct image_spec spec = { code, sizeof(code), 0, true };
	const char *path, *out;

	memset(code, 0x9c, sizeof(code)); /* pushf */
	code[49] = 0x9d;
	path = write_image("pushf", &spec);
	out = scan_text(0, path, NULL);
	cr_expect_not_null(strstr(out, "  0xc0100013  .text+0x13\n  and 29 more "), "%s", out);
	cr_expect_null(strstr(out, "0xc0100014"), "%s", out);
	cr_expect_not_null(strstr(out, "no: 50 sensitive instructions of 2 kinds do not trap"),
			   "%s", out);
	out = scan_text(0, path, "--all");
	cr_expect_not_null(strstr(out, "  0xc0100030  .text+0x30\n\n"), "%s", out);
	cr_expect_null(strstr(out, " more"), "%s", out);
}

Test(scan_cmd, a_segment_will_do_where_there_are_no_sections, .init = make_dir, .fini = remove_dir)
{
	static const uint8_t code[] = { 0x90, 0x9c, 0xc3 };
	struct image_spec spec = { code, sizeof(code), 0, false };
	const char *out = scan_text(0, write_image("segment", &spec), NULL);

	cr_expect_not_null(strstr(out, ": 3 bytes of code in 1 region, 3 instructions, no symbols"),
			   "%s", out);
	cr_expect_not_null(strstr(out, "\n  0xc0100001\n"), "%s", out); /* nameless */
}

/* b8 and three zeros would swallow the pushf behind them. */
Test(scan_cmd, the_sweep_starts_anew_at_a_symbol, .init = make_dir, .fini = remove_dir)
{
	static const uint8_t code[] = { 0xb8, 0, 0, 0, 0x9c, 0xc3 };
	struct image_spec spec = { code, sizeof(code), 0, true };
	const char *out = scan_text(0, write_image("data", &spec), NULL);

	cr_expect_null(strstr(out, "pushf"), "%s", out);
	spec.symbol_at = 4;
	out = scan_text(0, write_image("data", &spec), NULL);
	cr_expect_not_null(strstr(out, "  0xc0100004  entry+0x0\n"), "%s", out);
	cr_expect_not_null(strstr(out, "\n4 bytes are not code\n"), "%s", out);
}

Test(scan_cmd, undecodable_bytes_are_counted, .init = make_dir, .fini = remove_dir)
{
	static const uint8_t code[] = { 0x90, 0x0f, 0x04, 0x90, 0x8d, 0xc0, 0xc0, 0x00, 0xf4 };
	struct image_spec spec = { code, sizeof(code), 0, true };
	const char *out = scan_text(0, write_image("holes", &spec), NULL);

	/* nop; (0f); add $0x90,%al; (8d); rol of %al; hlt */
	cr_expect_not_null(strstr(out, "\n2 bytes are not code\n"), "%s", out);
	cr_expect_not_null(strstr(out, " 4 instructions,"), "%s", out);
}

/* ---- broken files and command lines ---- */

static void expect_refusal(const char *image, const char *option, const char *words)
{
	struct child *c = &scan_child;

	cr_expect_str_empty(scan_text(2, image, option));
	cr_expect_eq(strncmp(c->err, "ringside: ", 10), 0, "%s", c->err);
	cr_expect_not_null(strstr(c->err, words), "%s, not: %s", words, c->err);
	cr_expect_eq(strchr(c->err, '\n'), c->err + strlen(c->err) - 1, "one line: %s", c->err);
}

Test(scan_cmd, bad_files_get_one_sentence, .init = make_dir, .fini = remove_dir)
{
	size_t size;
	uint8_t *elf = read_guest("minios", &size);
	Elf32_Ehdr *eh = (Elf32_Ehdr *)elf, good = *eh;
	Elf32_Shdr *text = (Elf32_Shdr *)(elf + eh->e_shoff) + 1;
	Elf32_Shdr good_text = *text;

	expect_refusal(scan_path("absent"), NULL, "cannot be opened");
	expect_refusal(scan_dir, NULL, "not a regular file");
	expect_refusal(child_ringside(), NULL, "64-bit");
	expect_refusal(write_file("bad", "", 0), NULL, "not an ELF file");
	expect_refusal(write_file("bad", "#!/bin/sh\n", 10), NULL, "not an ELF file");
	expect_refusal(write_file("bad", elf, 40), NULL, "truncated");
	expect_refusal(write_file("bad", elf, size - 40), NULL, "section headers");
	expect_refusal(write_file("bad", elf, 70), NULL, "program headers");
	eh->e_machine = EM_ARM;
	expect_refusal(write_file("bad", elf, size), NULL, "machine 40");
	*eh = good;
	eh->e_type = ET_REL;
	expect_refusal(write_file("bad", elf, size), NULL, "type 1");
	*eh = good;
	text->sh_size = 0x7fffffff;
	expect_refusal(write_file("bad", elf, size), NULL, "section 1 needs");
	*text = good_text;
	text->sh_addr = 0xfffffff0;
	expect_refusal(write_file("bad", elf, size), NULL, "above 4 GiB");
	*text = good_text;
	text->sh_offset = 0;
	text->sh_size = (uint32_t)size;
	text[1] = *text;
	expect_refusal(write_file("bad", elf, size), NULL, "section 2 overlaps");
	free(elf);
}

Test(scan_cmd, bad_command_lines_get_one_sentence, .init = make_dir, .fini = remove_dir)
{
	expect_refusal(NULL, NULL, "needs the image");
	expect_refusal("a", "b", "one image at a time");
	expect_refusal("a", "--frob", "no option --frob");
	expect_refusal("a", "--json=1", "no option --json=1");
	cr_expect_not_null(strstr(scan_text(0, "--help", NULL), "--all"));
}

Test(scan_cmd, a_report_that_cannot_be_written_is_an_error, .init = make_dir, .fini = remove_dir)
{
	struct child *c = &scan_child;
	char command[200];

	memset(c, 0, sizeof(*c));
	snprintf(command, sizeof(command), "'%s' scan '%s' > /dev/full", child_ringside(),
		 child_guest("minios"));
	c->argv[0] = "sh";
	c->argv[1] = "-c";
	c->argv[2] = command;
	child_run(c);
	cr_expect_eq(c->status, 4);
	cr_expect_not_null(strstr(c->err, "cannot write the report"), "%s", c->err);
}

/* Any bytes in the headers: a report or a sentence, never a crash (make asan looks closer). */
Test(scan_cmd, damaged_headers_never_crash_it, .init = make_dir, .fini = remove_dir)
{
	uint32_t rnd = 20240131;
	unsigned opened = 0, refused = 0;
	size_t size;
	uint8_t *elf = read_guest("minios", &size), *bad = malloc(size);
	Elf32_Ehdr *eh = (Elf32_Ehdr *)elf;

	cr_assert_not_null(bad);
	for (unsigned i = 0; i < 1000; i++) {
		struct image_scan s;
		char err[512] = "";

		memcpy(bad, elf, size);
		for (unsigned k = 0; k < 1 + i % 3; k++) {
			size_t at;

			rnd = rnd * 1664525u + 1013904223u;
			at = rnd >> 12;
			/* the header, the program headers, or the section headers */
			at = rnd >> 31 ? at % 120 : eh->e_shoff + at % (size - eh->e_shoff);
			rnd = rnd * 1664525u + 1013904223u;
			bad[at] = rnd >> 30 ? (uint8_t)(rnd >> 20) : 0xff;
		}
		if (!image_scan_open(&s, write_file("fuzz", bad, size), err, sizeof(err))) {
			opened++;
			cr_assert_eq(image_scan_sweep(&s, 20, NULL), 0);
		} else {
			refused++;
			cr_assert_neq(*err, 0);
		}
		image_scan_close(&s);
	}
	cr_expect(opened > 50 && refused > 50, "%u opened, %u refused", opened, refused);
	free(bad);
	free(elf);
}

/* ---- large images ---- */

/* 20 MB of minios's code, over and over, 16 nops between. */
static const char *write_large(unsigned *copies)
{
	size_t size, total = 20 << 20, used = 0;
	uint8_t *elf = read_guest("minios", &size), *code = malloc(total);
	Elf32_Shdr text = ((Elf32_Shdr *)(elf + ((Elf32_Ehdr *)elf)->e_shoff))[1];
	struct image_spec spec = { code, 0, 0, true };
	const char *path;

	cr_assert(code && text.sh_flags & SHF_EXECINSTR && text.sh_offset + text.sh_size <= size);
	for (*copies = 0; used + text.sh_size + 16 <= total; ++*copies) {
		memcpy(code + used, elf + text.sh_offset, text.sh_size);
		memset(code + used + text.sh_size, 0x90, 16);
		used += text.sh_size + 16;
	}
	spec.size = used;
	path = write_image("large", &spec);
	free(elf);
	free(code);
	return path;
}

Test(scan_cmd, an_image_of_20_mb, .init = make_dir, .fini = remove_dir)
{
	unsigned copies;
	const char *path = write_large(&copies);
	struct json_object *one = scan_json(child_guest("minios"), ""), *many;

	many = scan_json(path, "");
	cr_log_info("scan of 20 MB: %u ms of CPU, %u ms in all, %jd instructions (aim: 5 s)",
		    scan_child.cpu_ms, scan_child.wall_ms, (intmax_t)number(many, "instructions"));
	cr_expect_gt(count_of(many, "cli"), count_of(one, "cli") * copies * 95 / 100);
	cr_expect_lt(count_of(many, "cli"), count_of(one, "cli") * copies * 105 / 100);
	json_object_put(one);
	json_object_put(many);
}

Test(scan_cmd, progress_on_a_terminal, .init = make_dir, .fini = remove_dir)
{
	unsigned copies;
	const char *path = write_large(&copies), *ringside = child_ringside();
	char seen[4096];
	size_t used = 0;
	ssize_t n;
	int fd, status;
	pid_t pid = forkpty(&fd, NULL, NULL, NULL);

	cr_assert_geq(pid, 0);
	if (!pid) {
		if (!freopen("/dev/null", "w", stdout))
			_exit(99);
		execl(ringside, ringside, "scan", path, (char *)NULL);
		_exit(99);
	}
	while (used < sizeof(seen) - 1 && (n = read(fd, seen + used, sizeof(seen) - 1 - used)) > 0)
		used += (size_t)n;
	seen[used] = '\0';
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	close(fd);
	cr_expect_eq(status, 0);
	cr_expect_not_null(strstr(seen, "\rscanning:  50%"), "%s", seen);
	cr_expect(used > 4 && !strcmp(seen + used - 4, "\r\033[K"), "not wiped: %s", seen);
}
