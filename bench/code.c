/* SPDX-License-Identifier: MIT */
/*
 * What shadow code pages cost.
 *
 *   pairs  cli; sti (which trap by themselves) and pushf; popf (which are patched to), in a loop of
 *          a real guest under each hand-off policy: two traps and two emulations a pair.
 *   pages  a chain of jumps from page to page of compiler output.  In the first round each page is
 *          fetched, scanned, patched and mapped; in the second all copies are there, which is
 *          subtracted.  Beside it scan_page() alone.
 *
 * Prints tables with ratios; --json FILE writes the same as JSON.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/bench.h"
#include "vmm/account.h"
#include "vmm/code.h"
#include "vmm/loader.h"
#include "vmm/shadow.h"
#include "vmm/symbols.h"
#include "vmm/tsc.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

#define RAM_LEN   (16u << 20)
#define CODE      0x100000u
#define STACK     0x80000u
#define PAIRS     5000
#define PAGES_MAX 256u
#define JUMP_LEN  5u
#define TARGET_NS 150000.0 /* scan, patch and map a fresh page of compiler output */

struct guest {
	struct vm vm;
	struct vcpu vcpu;
	uint64_t mark_ns[3]; /* writes to port 0xf4: each is a mark, the last the end */
	uint64_t exits[3];
	unsigned marks, last;
	struct code_stats st;
};

static void on_mark(void *dev, uint64_t off, unsigned width, uint32_t val)
{
	struct guest *g = dev;

	(void)off;
	(void)width;
	(void)val;
	g->mark_ns[g->marks] = host_ns();
	g->exits[g->marks] = account_total(g->vcpu.account);
	if (g->marks++ == g->last)
		vm_end(&g->vm, VM_EXITED, 0);
}

static uint32_t on_read(void *dev, uint64_t off, unsigned width)
{
	(void)dev;
	(void)off;
	(void)width;
	return 0;
}

/* A machine without devices but the marker.  @handoff as struct vm has it. */
static int guest_init(struct guest *g, int handoff)
{
	const struct bus_range r = {
		.name = "mark", .base = 0xf4, .len = 1, .dev = g, .read = on_read, .write = on_mark
	};
	int err;

	memset(g, 0, sizeof(*g));
	err = vm_init(&g->vm, RAM_LEN);
	if (!err)
		err = bus_add(&g->vm.pio, &r);
	g->vm.vcpu[0] = &g->vcpu;
	g->vm.vcpus = 1;
	g->vm.engine_ops = &world_engine;
	g->vm.handoff = handoff;
	g->vcpu.vm = &g->vm;
	g->vcpu.account = account_new();
	return err ? err : g->vcpu.account ? 0 : -ENOMEM;
}

/* From @entry to the mark @last (0, 1, 2), which ends it. */
static int guest_run(struct guest *g, uint32_t entry, unsigned last)
{
	int err;

	g->last = last;
	vcpu_boot_multiboot(&g->vcpu, entry, 0, 0);
	g->vcpu.regs.gpr[ESP] = STACK;
	err = world_engine.create(&g->vcpu, &g->vcpu.engine);
	if (err)
		return err;
	vcpu_run(&g->vcpu);
	if (g->marks != last + 1)
		return -EIO;
	code_get_stats(g->vm.code, &g->st);
	return 0;
}

static void guest_free(struct guest *g)
{
	shadow_free(&g->vcpu);
	account_free(g->vcpu.account);
	symbols_free(g->vm.symbols);
	vm_destroy(&g->vm);
}

/* ---- pairs ---- */

/* The two instructions @pair in a loop of PAIRS; ns a pair, or -1. */
static double bench_pair(struct guest *g, const char pair[2], int handoff)
{
	static const uint8_t head[] = { 0xe6, 0xf4, 0xb9 };             /* out; mov $N,%ecx */
	static const uint8_t tail[] = { 0x49, 0x75, 0xfb, 0xe6, 0xf4 }; /* dec; jnz; out */
	double ns = -1;

	if (guest_init(g, handoff) == 0) {
		uint8_t *p = g->vm.ram + CODE;
		const uint32_t n = PAIRS;

		memcpy(p, head, sizeof(head));
		memcpy(p + 3, &n, sizeof(n));
		memcpy(p + 7, pair, 2);
		memcpy(p + 9, tail, sizeof(tail));
		if (guest_run(g, CODE, 1) == 0)
			ns = (double)(g->mark_ns[1] - g->mark_ns[0]) / PAIRS;
	}
	if (ns < 0)
		fprintf(stderr, "bench: %s\n", *g->vm.death ? g->vm.death : "the guest failed");
	guest_free(g);
	return ns;
}

static double bench_native_pair(void)
{
	uint64_t t0 = host_ns();

	for (int i = 0; i < 100 * PAIRS; i++)
		__asm__ volatile("pushf\n\tpopf" : : : "memory", "cc");
	return (double)(host_ns() - t0) / (100 * PAIRS);
}

/* ---- pages ---- */

/*
 * The first function of each page that lies whole in a code section: there a jump can take the
 * place of an instruction without changing what its neighbours are.
 */
static unsigned code_pages(const struct vm *vm, uint32_t at[PAGES_MAX])
{
	unsigned n = 0;

	for (size_t i = 0; i < symbols_count(vm->symbols) && n < PAGES_MAX; i++) {
		uint32_t addr, size, page;

		symbols_get(vm->symbols, i, &addr, &size);
		page = addr & ~(PAGE_SIZE - 1);
		if (symbols_is_function(vm->symbols, i) && size >= JUMP_LEN &&
		    addr - page <= PAGE_SIZE - 2 * JUMP_LEN &&
		    (!n || (at[n - 1] & ~(PAGE_SIZE - 1)) != page) &&
		    symbols_range(vm->symbols, page) == SYMBOLS_CODE &&
		    symbols_range(vm->symbols, page + PAGE_SIZE - 1) == SYMBOLS_CODE)
			at[n++] = addr;
	}
	return n;
}

static void put_jump(struct guest *g, uint32_t at, uint32_t to)
{
	uint32_t rel = to - (at + JUMP_LEN);

	g->vm.ram[at] = 0xe9;
	memcpy(g->vm.ram + at + 1, &rel, sizeof(rel));
}

struct pages_result {
	double fresh_ns, scan_ns; /* a page */
	unsigned pages;
	double patches;      /* a page */
	uint64_t exits_then; /* in the second round, its two marks not counted */
};

/* @image's pages of code, chained by a jump in each. */
static int bench_pages(struct guest *g, const char *image, struct pages_result *res)
{
	static const uint8_t mark[] = { 0xe6, 0xf4 };
	uint32_t page[PAGES_MAX];
	struct boot_info boot;
	char err[512] = "";
	int ret = guest_init(g, 1);

	if (ret)
		goto out;
	ret = loader_load(&g->vm, image, NULL, NULL, 0, &boot, &g->vm.symbols, err, sizeof(err));
	if (ret)
		goto out;
	res->pages = code_pages(&g->vm, page);
	if (res->pages < 2) {
		ret = -ENOENT;
		goto out;
	}
	for (unsigned i = 0; i + 1 < res->pages; i++)
		put_jump(g, page[i], page[i + 1]);
	/* Mark, then round again; the marker's page is outside the image. */
	memcpy(g->vm.ram + RAM_LEN - PAGE_SIZE, mark, sizeof(mark));
	put_jump(g, RAM_LEN - PAGE_SIZE + 2, page[0]);
	put_jump(g, page[res->pages - 1], RAM_LEN - PAGE_SIZE);
	ret = guest_run(g, RAM_LEN - PAGE_SIZE, 2);
	if (ret)
		goto out;
	res->fresh_ns = ((double)(g->mark_ns[1] - g->mark_ns[0]) -
			 (double)(g->mark_ns[2] - g->mark_ns[1])) /
			res->pages;
	res->scan_ns = (double)g->st.scan_ns / (double)(g->st.scans + g->st.rescans);
	res->patches = (double)g->st.patches / res->pages;
	res->exits_then = g->exits[2] - g->exits[1] - 1; /* the mark itself */
out:
	if (ret)
		fprintf(stderr, "bench: %s: %s\n", image,
			*err ? err : (*g->vm.death ? g->vm.death : strerror(-ret)));
	guest_free(g);
	return ret;
}

int main(int argc, char **argv)
{
	struct row rows[] = {
		{ .key = "pushf_popf_native", .name = "pushf; popf, native" },
		{ .key = "pushf_popf_share", .name = "pushf; popf, patched, one CPU" },
		{ .key = "pushf_popf_spin", .name = "pushf; popf, patched, two CPUs" },
		{ .key = "cli_sti_share", .name = "cli; sti, one CPU" },
		{ .key = "cli_sti_spin", .name = "cli; sti, two CPUs" },
		{ .key = "page_fresh", .name = "a fresh page: fetch, scan, patch, map" },
		{ .key = "page_scan", .name = "of that, scan and patch" },
	};
	const struct bench_json report = { .name = "code",
					   .per_round = "pairs_per_round",
					   .ratio = "ratio_to_native_pair",
					   .count = PAIRS };
	const size_t n = sizeof(rows) / sizeof(rows[0]);
	const char *json, *image = getenv("BENCH_SAMPLE");
	struct guest *g = calloc(1, sizeof(*g));
	struct pages_result res = { 0 };
	/* A machine with one CPU cannot spin. */
	const int spin = sysconf(_SC_NPROCESSORS_ONLN) > 1 ? 2 : 1;
	int status = bench_args(argc, argv, &json);

	if (!status && (!g || !image)) {
		fputs("bench: BENCH_SAMPLE must name an image; `make bench` sets it\n", stderr);
		status = 1;
	}
	for (int r = 0; r < ROUNDS && !status; r++) {
		rows[0].ns[r] = bench_native_pair();
		rows[1].ns[r] = bench_pair(g, "\x9c\x9d", 1);
		rows[2].ns[r] = bench_pair(g, "\x9c\x9d", spin);
		rows[3].ns[r] = bench_pair(g, "\xfa\xfb", 1);
		rows[4].ns[r] = bench_pair(g, "\xfa\xfb", spin);
		if (bench_pages(g, image, &res))
			status = 1;
		rows[5].ns[r] = res.fresh_ns;
		rows[6].ns[r] = res.scan_ns;
		for (size_t i = 0; i < n; i++)
			if (rows[i].ns[r] < 0)
				status = 1;
	}
	free(g);
	if (status)
		return status;
	rows_print("shadow code", rows, 5, 0);
	putchar('\n');
	rows_print("a page of compiler output", rows + 5, 2, 0);
	printf("%u pages, %.1f patches a page; a fresh page takes %.0f us (aim: %.0f us); "
	       "second time round: %llu exits\n",
	       res.pages, res.patches, rows[5].median / 1000, TARGET_NS / 1000,
	       (unsigned long long)res.exits_then);
	return json && rows_write(json, &report, rows, n) ? 1 : 0;
}
