/* SPDX-License-Identifier: MIT */
/*
 * Assigned devices, all of it: tests/assign/device.c, a program of the host, plays the device, and
 * guest/assign has its driver and takes interrupts in all four ways.
 */
#include <criterion/criterion.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/child.h"

TestSuite(assign_device, .timeout = 120);

static const char *ad_program(void)
{
	static char path[512];

	snprintf(path, sizeof(path), "%s/../tests/assign-device", getenv("GUESTS"));
	return path;
}

static struct child ad;
static char ad_stats[64];

/* Run the program with @options (NULL ends them) and the guest with the argument @append. */
static void ad_run(const char *const *options, const char *append)
{
	const char *image = child_guest("assign"); /* also checks that GUESTS is set */
	const char *run[] = {
		child_ringside(), image,  "--timeout",    "90",           "-m",    "16",
		"-append",        append, "--stats=json", "--stats-file", ad_stats
	};
	unsigned n = 0;

	snprintf(ad_stats, sizeof(ad_stats), "/tmp/ringside-assign-%d.json", (int)getpid());
	ad.seconds = 100;
	ad.argv[n++] = ad_program();
	while (*options)
		ad.argv[n++] = *options++;
	memcpy(&ad.argv[n], run, sizeof(run));
	child_run(&ad);
	cr_assert_eq(ad.status, 0, "status %d\n%s%s", ad.status, ad.out, ad.err);
}

static int64_t ad_number(struct json_object *row, const char *key)
{
	return json_object_get_int64(json_object_object_get(row, key));
}

/* The row of the account's @table in which @key is @val; the test fails if there is none. */
static struct json_object *ad_row(struct json_object *account, const char *table, const char *key,
				  const char *val)
{
	struct json_object *rows = NULL, *interrupts = NULL;

	cr_assert(json_object_object_get_ex(account, "interrupts", &interrupts) &&
		  json_object_object_get_ex(interrupts, table, &rows));
	for (size_t i = 0; i < json_object_array_length(rows); i++) {
		struct json_object *row = json_object_array_get_idx(rows, i);

		if (!strcmp(json_object_get_string(json_object_object_get(row, key)), val))
			return row;
	}
	cr_assert_fail("no row of %s with %s %s", table, key, val);
	return NULL;
}

static struct json_object *ad_account(void)
{
	struct json_object *o = json_object_from_file(ad_stats);

	unlink(ad_stats);
	cr_assert_not_null(o, "%s", ad_stats);
	return o;
}

static void ad_says(const char *where, const char *what)
{
	cr_expect_not_null(strstr(where, what), "no \"%s\" in\n%s%s", what, ad.out, ad.err);
}

static void ad_expect_row(struct json_object *row, int64_t raised)
{
	const char *text = json_object_to_json_string(row);

	cr_expect_eq(ad_number(row, "raised"), raised, "%s", text);
	cr_expect_eq(ad_number(row, "delivered"), raised, "%s", text);
	cr_expect_eq(ad_number(row, "coalesced"), 0, "%s", text);
	cr_expect_eq(ad_number(json_object_object_get(row, "latency"), "count"), raised, "%s",
		     text);
}

/* Each request and the end one interrupt; 300 messages are many times round the ring. */
Test(assign_device, the_four_ways_of_an_interrupt_in_one_guest)
{
	static const char *const options[] = { "--rounds", "300", "--json", NULL };
	struct json_object *o, *figures, *devices;

	ad_run(options, "plain");
	ad_says(ad.out, "external: 3 interrupts");
	ad_says(ad.out, "system: 3 interrupts");
	ad_says(ad.out, "ipi: 3 interrupts");
	ad_says(ad.out, "assigned: 300 requests of device 0, 0 errors");
	o = ad_account();
	cr_expect_geq(ad_number(ad_row(o, "paths", "path", "external"), "delivered"), 3);
	cr_expect_geq(ad_number(ad_row(o, "paths", "path", "system"), "delivered"), 3);
	cr_expect_eq(ad_number(ad_row(o, "paths", "path", "ipi"), "delivered"), 3);
	ad_expect_row(ad_row(o, "paths", "path", "assigned"), 301);
	cr_expect_str_eq(json_object_get_string(json_object_object_get(
				 ad_row(o, "vectors", "vector", "81"), "path")),
			 "assigned");
	json_object_put(o);

	cr_assert_not_null(strstr(ad.out, "{ \"ringside\""), "%s", ad.out);
	figures = json_tokener_parse(strstr(ad.out, "{ \"ringside\""));
	cr_assert_not_null(figures, "%s", ad.out);
	cr_expect_eq(ad_number(figures, "ringside"), 33);
	devices = json_object_object_get(figures, "devices");
	cr_assert_eq(json_object_array_length(devices), 1);
	devices = json_object_array_get_idx(devices, 0);
	cr_expect_eq(ad_number(devices, "rounds"), 300);
	cr_expect_gt(ad_number(devices, "p50_ns"), 0);
	cr_expect_leq(ad_number(devices, "p50_ns"), ad_number(devices, "p99_ns"));
	cr_expect_leq(ad_number(devices, "p99_ns"), ad_number(devices, "max_ns"));
	json_object_put(figures);
}

Test(assign_device, two_devices_on_two_processors_with_paging)
{
	static const char *const options[] = { "--rounds", "300", "--devices", "2", NULL };
	struct json_object *o;

	ad_run(options, "paging");
	ad_says(ad.out, "assigned: 300 requests of device 0, 0 errors");
	ad_says(ad.out, "assigned: 300 requests of device 1\n");
	ad_says(ad.out, "device 1: 300 round trips, p50 ");
	o = ad_account();
	ad_expect_row(ad_row(o, "vectors", "vector", "81"), 301);
	ad_expect_row(ad_row(o, "vectors", "vector", "82"), 301);
	cr_expect_eq(ad_number(ad_row(o, "vectors", "vector", "82"), "vcpu"), 1);
	json_object_put(o);
}

Test(assign_device, answers_can_be_polled_for)
{
	static const char *const options[] = { "--rounds", "50", "--poll", NULL };

	ad_run(options, "plain");
	ad_says(ad.out, "device 0: 50 round trips");
	unlink(ad_stats);
}

/* The guest just hears no more of it: until then everything arrived, and SIGTERM ends the VM. */
Test(assign_device, that_dies_takes_nobody_along)
{
	static const char *const options[] = { "--rounds", "60", "--devices", "2",
					       "--die-at", "30", NULL };
	struct json_object *o;

	ad_run(options, "plain");
	ad_says(ad.err, "stopped by SIGTERM");
	ad_says(ad.out, "device 0: 60 round trips");
	ad_says(ad.out, "device 1: 29 round trips");
	o = ad_account();
	ad_expect_row(ad_row(o, "vectors", "vector", "82"), 29);
	json_object_put(o);
}

/* The next access of the guest is a SIGBUS in its world: the end of this VM, with a sentence. */
static void ad_shrink(const char *append)
{
	static const char *const options[] = { "--rounds", "60", "--shrink-at", "30", NULL };

	ad_run(options, append);
	ad_says(ad.err, "ringside: host: assigned device 0: its shared memory /proc/self/fd/");
	ad_says(ad.err, "shrank from 20480 to 0 bytes");
	ad_says(ad.out, "device 0: 29 round trips");
	unlink(ad_stats);
}

Test(assign_device, that_shrinks_its_memory_ends_the_guest)
{
	ad_shrink("plain");
}

Test(assign_device, that_shrinks_its_memory_ends_the_guest_with_paging)
{
	ad_shrink("paging");
}
