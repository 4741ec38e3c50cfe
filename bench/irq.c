/* SPDX-License-Identifier: MIT */
/*
 * How long interrupts take, path by path: guest/irqbench/ measures, on Ringside and on QEMU's
 * software emulation (TCG), the same image, in turns, so that the noise of a shared machine hits
 * both alike.  Both give the guest the host's time-stamp counter.
 *
 * What an assigned device posts has no counterpart there.  This program rings its doorbell, and
 * Ringside's account says how long it took from the posting to the handler.
 *
 * Environment: RINGSIDE, GUESTS as in the tests.  --json FILE writes the table as JSON.
 */
#include <json-c/json.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/bench.h"
#include "vmm/tsc.h"

#define VCPUS    "4"
#define VECTOR   0x60 /* VEC_ASSIGNED in guest/irqbench/layout.h */
#define RING_MS  1    /* between two doorbells */
#define TIME_OUT "60" /* seconds for a run; it takes three */

enum { RINGSIDE, QEMU, MACHINES };
enum { P50, P99, FIGURES };

struct path {
	const char *key, *name;
	struct row row[MACHINES][FIGURES];
};

#define PATH(key, name)                   \
	{                                 \
		key, name,                \
		{                         \
			{                 \
				{         \
					0 \
				}         \
			}                 \
		}                         \
	}
static struct path paths[] = {
	PATH("pit_ioapic_halted", "8254, I/O APIC, guest halted"),
	PATH("pit_ioapic_busy", "8254, I/O APIC, guest computing"),
	PATH("pit_pic_halted", "8254, 8259A, guest halted"),
	PATH("pit_pic_busy", "8254, 8259A, guest computing"),
	PATH("uart", "UART, raised by the guest's own OUT"),
	PATH("lapic_halted", "APIC timer, guest halted"),
	PATH("lapic_busy", "APIC timer, guest computing"),
	PATH("jitter_halted", "APIC timer at 1 kHz, |error|, halted"),
	PATH("jitter_busy", "APIC timer at 1 kHz, |error|, computing"),
	PATH("ipi_self", "IPI to itself"),
	PATH("ipi_halted", "IPI, target halted"),
	PATH("ipi_busy", "IPI, target computing"),
	PATH("trip_halted", "IPI and back, target halted"),
	PATH("trip_busy", "IPI and back, both computing"),
	PATH("trip_asleep", "IPI and back, both halted"),
	PATH("broadcast4", "IPI to all 4, until the last has it"),
};
#define PATHS (sizeof(paths) / sizeof(paths[0]))

static struct path assigned[] = {
	PATH("assigned_halted", "posted by the host, guest halted"),
	PATH("assigned_busy", "posted by the host, guest computing"),
};
#define ASSIGNED (sizeof(assigned) / sizeof(assigned[0]))

static char command[MACHINES][8192];

static int fail(const char *what, const char *detail)
{
	fprintf(stderr, "bench: %s%s%s\n", what, detail ? ": " : "", detail ? detail : "");
	return -1;
}

/* 0x10 to the exit port, as a wait status. */
static bool guest_finished(int status)
{
	return WIFEXITED(status) && WEXITSTATUS(status) == 0x21;
}

/* ---- measured by the guest ---- */

static int take_line(const char *line, int machine, int round, unsigned *seen)
{
	double hz = (double)tsc_hz(), khz, p50, p99;
	char name[64];

	if (sscanf(line, "tsc_khz %lf", &khz) == 1 &&
	    (khz * 1000 < hz * 0.98 || khz * 1000 > hz * 1.02))
		return fail("the guest's time-stamp counter is not the host's", line);
	if (sscanf(line, "%63s %*d %lf %lf %*d %*d", name, &p50, &p99) != 3)
		return 0;
	for (size_t i = 0; i < PATHS; i++)
		if (!strcmp(name, paths[i].key)) {
			paths[i].row[machine][P50].ns[round] = p50 * 1e9 / hz;
			paths[i].row[machine][P99].ns[round] = p99 * 1e9 / hz;
			++*seen;
		}
	return 0;
}

static int run_guest(int machine, int round)
{
	FILE *f = popen(command[machine], "r");
	unsigned seen = 0;
	char line[256];
	int err = 0, status;

	if (!f)
		return fail("cannot run", command[machine]);
	while (!err && fgets(line, sizeof(line), f))
		err = take_line(line, machine, round, &seen);
	status = pclose(f);
	if (err)
		return err;
	if (!guest_finished(status) || seen != PATHS)
		return fail("the guest did not finish under", command[machine]);
	return 0;
}

/* ---- posted by us ---- */

/* Ring every RING_MS until the guest has had enough and its output goes on. */
static void ring(FILE *f, int bell)
{
	struct pollfd p = { .fd = fileno(f), .events = POLLIN };
	uint64_t one = 1;

	while (poll(&p, 1, RING_MS) == 0)
		if (write(bell, &one, sizeof(one)) != sizeof(one))
			return;
}

/* The row of the account, which follows on what the guest printed. */
static int take_account(const char *text, struct path *a, int round)
{
	struct json_object *top = json_tokener_parse(text), *o, *list = NULL, *vector, *figure;
	int err = -1;

	if (top && json_object_object_get_ex(top, "interrupts", &o))
		json_object_object_get_ex(o, "vectors", &list);
	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		o = json_object_array_get_idx(list, i);
		if (!json_object_object_get_ex(o, "vector", &vector) ||
		    json_object_get_int(vector) != VECTOR ||
		    !json_object_object_get_ex(o, "latency", &o))
			continue;
		json_object_object_get_ex(o, "p50_ns", &figure);
		a->row[RINGSIDE][P50].ns[round] = json_object_get_double(figure);
		json_object_object_get_ex(o, "p99_ns", &figure);
		a->row[RINGSIDE][P99].ns[round] = json_object_get_double(figure);
		err = 0;
	}
	json_object_put(top);
	return err;
}

static int run_assigned(struct path *a, int round, const char *ringside, const char *image)
{
	static char cmd[8192], text[1 << 18];
	int bell = eventfd(0, 0), status, err = 0; /* inherited */
	size_t len;
	FILE *f;

	snprintf(cmd, sizeof(cmd),
		 "exec timeout " TIME_OUT " '%s' run -m 64 --assign eventfd=%d,vector=%d,vcpu=0 "
		 "--stats=json '%s' -append assigned=%s </dev/null 2>&1",
		 ringside, bell, VECTOR, image, strchr(a->key, '_') + 1);
	f = bell < 0 ? NULL : popen(cmd, "r");
	if (!f)
		return fail("cannot run", cmd);
	while (fgets(text, sizeof(text), f) && strcmp(text, "ready\n") != 0)
		;
	ring(f, bell);
	len = fread(text, 1, sizeof(text) - 1, f);
	text[len] = 0;
	status = pclose(f);
	close(bell);
	if (guest_finished(status) && strchr(text, '{'))
		err = take_account(strchr(text, '{'), a, round);
	else
		err = -1;
	return err ? fail("no account of posted interrupts from", cmd) : 0;
}

/* ---- report ---- */

static void print_machine(const struct row r[FIGURES])
{
	printf(" %9.2f %9.2f %9.1f", r[P50].median / 1000, r[P50].min / 1000, r[P99].median / 1000);
}

/* p50 and p99 are the medians of the rounds; least is the p50 of the best round. */
static void print_tables(void)
{
	printf("%-39s %9s %9s %9s %9s %9s %9s %9s\n", "from cause to handler, us", "ringside",
	       "least", "p99", "qemu", "least", "p99", "ratio");
	for (size_t i = 0; i < PATHS; i++) {
		const struct row(*r)[FIGURES] = paths[i].row;

		printf("%-39s", paths[i].name);
		print_machine(r[RINGSIDE]);
		print_machine(r[QEMU]);
		printf(" %8.2fx\n", r[RINGSIDE][P50].median / r[QEMU][P50].median);
	}
	for (size_t i = 0; i < ASSIGNED; i++) {
		printf("%-39s", assigned[i].name);
		print_machine(assigned[i].row[RINGSIDE]);
		printf("\n");
	}
}

static struct json_object *figures_json(const struct row r[FIGURES])
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "p50", row_json(&r[P50]));
	json_object_object_add(o, "p99", row_json(&r[P99]));
	return o;
}

static int write_json(const char *file)
{
	struct json_object *top = bench_json_top(), *list = json_object_new_object(), *o;

	for (size_t i = 0; i < PATHS; i++) {
		const struct row(*r)[FIGURES] = paths[i].row;

		o = json_object_new_object();
		json_object_object_add(o, "ringside", figures_json(r[RINGSIDE]));
		json_object_object_add(o, "qemu_tcg", figures_json(r[QEMU]));
		json_object_object_add(
			o, "ratio",
			json_object_new_double(r[RINGSIDE][P50].median / r[QEMU][P50].median));
		json_object_object_add(list, paths[i].key, o);
	}
	for (size_t i = 0; i < ASSIGNED; i++) {
		o = json_object_new_object();
		json_object_object_add(o, "ringside", figures_json(assigned[i].row[RINGSIDE]));
		json_object_object_add(list, assigned[i].key, o);
	}
	json_object_object_add(top, "irq", list);
	return bench_json_write(file, top);
}

static int run_round(int round, const char *ringside, const char *image)
{
	for (int m = 0; m < MACHINES; m++)
		if (run_guest(m, round))
			return -1;
	for (size_t i = 0; i < ASSIGNED; i++)
		if (run_assigned(&assigned[i], round, ringside, image))
			return -1;
	return 0;
}

int main(int argc, char **argv)
{
	const char *json, *ringside = getenv("RINGSIDE"), *guests = getenv("GUESTS");
	char image[4096];

	if (bench_args(argc, argv, &json))
		return 2;
	ringside = ringside ? ringside : "build/ringside";
	snprintf(image, sizeof(image), "%s/irqbench.elf", guests ? guests : "build/guest");
	snprintf(command[RINGSIDE], sizeof(command[0]),
		 "exec timeout " TIME_OUT " '%s' run -m 64 --smp " VCPUS " '%s' -append cpus=" VCPUS
		 " </dev/null",
		 ringside, image);
	snprintf(command[QEMU], sizeof(command[0]),
		 "exec timeout " TIME_OUT " qemu-system-i386 -accel tcg -m 64 -smp " VCPUS
		 " -display none -monitor none -serial stdio -no-reboot "
		 "-device isa-debug-exit,iobase=0xf4,iosize=4 "
		 "-kernel '%s' -append cpus=" VCPUS " </dev/null",
		 image);
	for (int r = 0; r < ROUNDS; r++)
		if (run_round(r, ringside, image))
			return 1;
	for (size_t i = 0; i < PATHS; i++)
		for (int m = 0; m < MACHINES; m++)
			for (int k = 0; k < FIGURES; k++)
				row_finish(&paths[i].row[m][k]);
	for (size_t i = 0; i < ASSIGNED; i++)
		for (int k = 0; k < FIGURES; k++)
			row_finish(&assigned[i].row[RINGSIDE][k]);
	print_tables();
	return json && write_json(json) ? 1 : 0;
}
