/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer target: the ELF/Multiboot loader and the image reader of `ringside scan` on arbitrary
 * files.  The last four bytes of the input also choose RAM size and modules.
 *
 * Guest RAM is malloc()ed here, so that AddressSanitizer sees every byte written outside of it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/fuzz/require.h"
#include "vmm/loader.h"
#include "vmm/multiboot.h"
#include "vmm/scan_image.h"
#include "vmm/symbols.h"
#include "vmm/vm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MODULES 3

struct file {
	int fd;
	char path[40];
};

/* A file in memory, its contents replaced. */
static void file_set(struct file *f, const void *bytes, size_t size)
{
	if (!f->path[0]) {
		f->fd = memfd_create("fuzz", MFD_CLOEXEC);
		REQUIRE(f->fd >= 0, "memfd_create: %s", strerror(errno));
		snprintf(f->path, sizeof(f->path), "/proc/self/fd/%d", f->fd);
	}
	REQUIRE(!ftruncate(f->fd, 0), "%s", strerror(errno));
	REQUIRE(pwrite(f->fd, bytes, size, 0) == (ssize_t)size, "%s", strerror(errno));
}

/* ---- loader ---- */

static uint32_t ram32(const struct vm *vm, uint32_t gpa)
{
	uint32_t val;

	REQUIRE(gpa <= vm->ram_len - 4, "%#x is outside RAM", gpa);
	memcpy(&val, vm->ram + gpa, 4);
	return val;
}

static void check_string(const struct vm *vm, uint32_t gpa)
{
	REQUIRE(gpa < vm->ram_len, "%#x is outside RAM", gpa);
	REQUIRE(memchr(vm->ram + gpa, 0, vm->ram_len - gpa), "%#x is no string", gpa);
}

/* Multiboot 0.6.96, 3.3: everything that the block points to lies in RAM. */
static void check_info(const struct vm *vm, const struct boot_info *info, unsigned nmods)
{
	uint32_t b = info->info_gpa, mods, flags = ram32(vm, b);

	REQUIRE(info->entry < vm->ram_len && info->magic == MB_BOOT_MAGIC, "entry %#x",
		info->entry);
	REQUIRE(ram32(vm, b + 20) == nmods, "%u modules", ram32(vm, b + 20));
	check_string(vm, ram32(vm, b + 16));
	check_string(vm, ram32(vm, b + 64));
	mods = ram32(vm, b + 24);
	for (unsigned i = 0; i < nmods; i++) {
		uint32_t start = ram32(vm, mods + 16 * i), end = ram32(vm, mods + 16 * i + 4);

		REQUIRE(start <= end && end <= vm->ram_len, "module %#x-%#x", start, end);
		REQUIRE(end <= b || start >= b + 116 || start == end, "module %#x-%#x over %#x",
			start, end, b);
		check_string(vm, ram32(vm, mods + 16 * i + 8));
	}
	if (flags & 0x20) { /* section headers */
		uint32_t num = ram32(vm, b + 28), at = ram32(vm, b + 36);

		REQUIRE(at <= vm->ram_len && (uint64_t)num * 40 <= vm->ram_len - at, "%u at %#x",
			num, at);
		REQUIRE(ram32(vm, b + 40) < num, "string table %u of %u", ram32(vm, b + 40), num);
	}
}

static void check_symbols(const struct symbols *s)
{
	size_t n = symbols_count(s);
	uint32_t addr, size, off, last = 0;

	for (size_t i = 0; i < n; i++) {
		const char *name = symbols_get(s, i, &addr, &size);

		REQUIRE(name && *name && addr >= last, "symbol %zu", i);
		last = addr;
		if (i < 8 && symbols_find(s, addr, &off))
			REQUIRE(off <= addr, "offset %#x", off);
	}
	symbols_find(s, 0, &off);
	symbols_find(s, 0xffffffff, &off);
}

static void check_sentence(const char *err, const char *path, size_t size)
{
	REQUIRE(memchr(err, 0, size) && *err && !strchr(err, '\n'), "sentence");
	REQUIRE(!strncmp(err, "/proc/self/fd/", 14), "%s: names no file (%s)", err, path);
}

static void check_loader(const struct file *image, const struct file *module, uint8_t ram,
			 unsigned nmods)
{
	static const char *const line[MODULES] = { NULL, "", "a module's arguments" };
	struct boot_module mods[MODULES];
	struct symbols *syms = NULL;
	struct boot_info info;
	char err[600] = "";
	struct vm vm = { .ram_len = VM_RAM_MIN + (ram & 3) * (VM_RAM_MIN >> 1), .ram_fd = -1 };
	int ret;

	vm.ram = malloc(vm.ram_len);
	REQUIRE(vm.ram, "memory");
	for (unsigned i = 0; i < MODULES; i++)
		mods[i] = (struct boot_module){ .path = module->path, .cmdline = line[i] };
	ret = loader_load(&vm, image->path, ram & 4 ? "one two" : NULL, mods, nmods, &info, &syms,
			  err, sizeof(err));
	REQUIRE(ret <= 0, "%d", ret);
	if (ret) {
		check_sentence(err, image->path, sizeof(err));
		REQUIRE(!syms, "symbols of what was not loaded");
	} else {
		check_info(&vm, &info, nmods);
		if (syms)
			check_symbols(syms);
	}
	symbols_free(syms);
	free(vm.ram);
}

/* ---- ringside scan ---- */

static void check_scan(const struct file *image)
{
	struct image_scan s;
	char err[600] = "";
	uint32_t off;
	int ret = image_scan_open(&s, image->path, err, sizeof(err));

	if (ret) {
		REQUIRE(ret < 0, "%d", ret);
		check_sentence(err, image->path, sizeof(err));
		image_scan_close(&s);
		return;
	}
	ret = image_scan_sweep(&s, 4, NULL);
	REQUIRE(!ret, "%d", ret);
	REQUIRE(s.instructions + s.not_code <= s.bytes, "more instructions than bytes");
	for (size_t i = 0; i < s.rows; i++) {
		REQUIRE(s.row[i].places <= 4 && s.row[i].places <= s.row[i].count, "places");
		for (size_t k = 0; k < s.row[i].places; k++)
			image_scan_name(&s, s.row[i].gva[k], &off);
	}
	image_scan_close(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct file image, module;
	uint8_t config[4] = { 0 };
	size_t module_size;

	if (size >= sizeof(config))
		memcpy(config, data + size - sizeof(config), sizeof(config));
	module_size = (size_t)(config[2] | config[3] << 8) * 8;
	file_set(&image, data, size);
	file_set(&module, data, module_size < size ? module_size : size);
	check_loader(&image, &module, config[0], config[1] % (MODULES + 1));
	check_scan(&image);
	return 0;
}
