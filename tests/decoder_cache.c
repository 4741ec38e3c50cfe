/* SPDX-License-Identifier: MIT */
/* The decode cache: hits, never a stale or foreign entry, and many threads at once. */
#include "decoder/insn.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>

static struct insn_cache_stats stats(void)
{
	struct insn_cache_stats s;

	insn_cache_stats(&s);
	return s;
}

Test(decoder_cache, second_decode_is_a_hit_with_the_same_result)
{
	static const uint8_t code[INSN_MAX] = { 0x0f, 0x22, 0xd8 };
	struct insn first, second;
	struct insn_cache_stats before = stats(), after;

	memset(&first, 0xaa, sizeof(first));
	memset(&second, 0x55, sizeof(second));
	cr_assert_eq(insn_decode(code, sizeof(code), 32, &first), 0);
	cr_assert_eq(insn_decode(code, sizeof(code), 32, &second), 0);
	after = stats();
	cr_expect_eq(after.lookups - before.lookups, 2);
	cr_expect_eq(after.hits - before.hits, 1);
	cr_expect_eq(memcmp(&first, &second, sizeof(first)), 0);
}

Test(decoder_cache, changed_bytes_are_another_instruction)
{
	uint8_t code[INSN_MAX] = { 0xb8, 1, 0, 0, 0 };
	struct insn in;

	cr_assert_eq(insn_decode(code, sizeof(code), 32, &in), 0);
	code[1] = 2;
	cr_assert_eq(insn_decode(code, sizeof(code), 32, &in), 0);
	cr_expect_eq(in.opnd[0].kind, OPND_GPR);
	cr_expect_eq(in.opnd[1].imm, 2);
	code[0] = 0xfa;
	cr_assert_eq(insn_decode(code, sizeof(code), 32, &in), 0);
	cr_expect_eq(in.op, OP_CLI);
}

Test(decoder_cache, mode_is_part_of_the_key)
{
	static const uint8_t code[INSN_MAX] = { 0xb8, 0x34, 0x12, 0x78, 0x56 };
	struct insn in;

	for (int i = 0; i < 2; i++) {
		cr_assert_eq(insn_decode(code, sizeof(code), 32, &in), 0);
		cr_expect_eq(in.len, 5);
		cr_assert_eq(insn_decode(code, sizeof(code), 16, &in), 0);
		cr_expect_eq(in.len, 3);
	}
}

Test(decoder_cache, fewer_bytes_never_hit_the_entry_of_more)
{
	static const uint8_t code[INSN_MAX] = { 0x81, 0xc0 };
	struct insn in;

	/* add $0,%eax: the missing bytes are zero, as padding is */
	for (int i = 0; i < 2; i++) {
		cr_assert_eq(insn_decode(code, sizeof(code), 32, &in), 0);
		cr_expect_eq(in.len, 6);
		for (size_t len = 0; len < 6; len++)
			cr_expect_lt(insn_decode(code, len, 32, &in), 0);
		cr_expect_eq(insn_decode(code, 6, 32, &in), 0);
	}
}

Test(decoder_cache, failures_leave_the_result_alone)
{
	static const uint8_t code[INSN_MAX] = { 0x0f, 0x04 };
	struct insn in, old;

	memset(&in, 0x5a, sizeof(in));
	old = in;
	cr_assert_lt(insn_decode(code, sizeof(code), 32, &in), 0);
	cr_assert_lt(insn_decode(code, 1, 32, &in), 0);
	cr_expect_eq(memcmp(&in, &old, sizeof(in)), 0);
}

/* Instruction number @n of a long list of different ones: mov $n,%eax. */
static void nth(uint32_t n, uint8_t code[INSN_MAX])
{
	memset(code, 0x90, INSN_MAX);
	code[0] = (uint8_t)(0xb8 + n % 8);
	memcpy(code + 1, &n, 4);
}

static bool nth_is_right(uint32_t n, const struct insn *in)
{
	return in->op == OP_MOV && in->len == 5 && in->opnd[0].reg == n % 8 &&
	       in->opnd[1].imm == n && in->nopnd == 2 && !in->sens;
}

Test(decoder_cache, more_instructions_than_it_holds_stay_right)
{
	for (int round = 0; round < 2; round++) {
		for (uint32_t n = 0; n < 20000; n++) {
			uint8_t code[INSN_MAX];
			struct insn in;

			nth(n, code);
			cr_assert_eq(insn_decode(code, sizeof(code), 32, &in), 0);
			cr_assert(nth_is_right(n, &in), "%u", n);
		}
	}
}

struct job {
	uint32_t seed;
	unsigned wrong;
};

/* Half of the lookups among few instructions, half among many: hits and evictions together. */
static void *decode_many(void *arg)
{
	struct job *job = arg;
	uint32_t r = job->seed;

	for (unsigned i = 0; i < 60000; i++) {
		uint8_t code[INSN_MAX];
		struct insn in;
		uint32_t n;

		r = r * 1664525 + 1013904223;
		n = r >> 31 ? r >> 8 & 63 : r >> 8 & 0x7fff;
		nth(n, code);
		if (insn_decode(code, sizeof(code), 32, &in) || !nth_is_right(n, &in))
			job->wrong++;
	}
	return NULL;
}

Test(decoder_cache, threads_see_only_whole_entries)
{
	pthread_t thread[4];
	struct job job[4];
	struct insn_cache_stats before = stats(), after;

	for (uint32_t i = 0; i < 4; i++) {
		job[i] = (struct job){ .seed = i * 77 + 1 };
		cr_assert_eq(pthread_create(&thread[i], NULL, decode_many, &job[i]), 0);
	}
	for (int i = 0; i < 4; i++) {
		pthread_join(thread[i], NULL);
		cr_expect_eq(job[i].wrong, 0, "thread %d: %u wrong", i, job[i].wrong);
	}
	after = stats();
	cr_expect_eq(after.lookups - before.lookups, 4 * 60000, "no lookup is lost");
	cr_expect_gt(after.hits - before.hits, 4 * 60000 / 4, "half of them are among 64");
}
