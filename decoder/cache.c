/* SPDX-License-Identifier: MIT */
/*
 * The decode cache: content in, instruction out.
 *
 * The key is all that insn_decode() may look at: the window of up to 15 bytes, how many of them
 * there are, and the mode.  The length of the instruction is not known before it is decoded, so a
 * key of just its own bytes would need a probe per length, or a hash of so few bytes that many
 * instructions collide.  With the whole window the same instruction at two places is two entries,
 * but a lookup is one hash of two words and one compare, and a trap site or a loop hits from its
 * second time on.  Bytes that change make another key: a stale hit is impossible, and nothing
 * ever needs to be invalidated.
 *
 * Shared by all threads: 1024 sets of 4 ways, half a megabyte.  Each set is a sequence lock;
 * readers write nothing but a counter, and a writer that finds the set busy just does not store.
 * The data are atomic words with relaxed order, so that a torn read, which the sequence number
 * discards, is not a data race (Boehm, "Can Seqlocks Get Along With Programming Language Memory
 * Models?", MSPC 2012).
 */
#include "decoder/internal.h"

#include <stdatomic.h>
#include <string.h>

#define SETS       1024 /* a power of two */
#define WAYS       4
#define INSN_WORDS ((sizeof(struct insn) + 7) / 8)

struct set {
	_Atomic uint64_t key[WAYS][2]; /* one cache line: the compare touches nothing else */
	atomic_uint seq;               /* odd while written; also the round-robin hand */
	_Atomic uint64_t insn[WAYS][INSN_WORDS];
} __attribute__((aligned(64)));

static struct set cache[SETS];

/* Counters in as many lines as there are likely threads, so that hits do not contend. */
#define SLOTS 16
static struct slot {
	_Atomic uint64_t hits, misses;
} __attribute__((aligned(64))) slots[SLOTS];

static struct slot *my_slot(void)
{
	static atomic_uint next;
	static _Thread_local struct slot *mine;

	if (!mine)
		mine = &slots[atomic_fetch_add_explicit(&next, 1, memory_order_relaxed) % SLOTS];
	return mine;
}

static struct set *key_of(const uint8_t window[16], unsigned avail, unsigned bits, uint64_t key[2])
{
	uint64_t h;

	memcpy(key, window, 16);
	/* Byte 15 is free.  Never 0, so an empty way (all zero) matches nothing. */
	key[1] &= UINT64_MAX >> 8;
	key[1] |= (uint64_t)(avail | (bits == 16 ? 0x80 : 0)) << 56;
	h = key[0] * 0x9e3779b97f4a7c15u ^ (key[1] + 0x7f4a7c15u) * 0xc2b2ae3d27d4eb4fu;
	h ^= h >> 32;
	h *= 0x9e3779b97f4a7c15u;
	return &cache[h >> 54]; /* the top 10 bits */
}
_Static_assert(SETS == 1 << (64 - 54), "index width");

static bool way_matches(struct set *s, unsigned way, const uint64_t key[2])
{
	return atomic_load_explicit(&s->key[way][0], memory_order_relaxed) == key[0] &&
	       atomic_load_explicit(&s->key[way][1], memory_order_relaxed) == key[1];
}

bool cache_find(const uint8_t window[16], unsigned avail, unsigned bits, struct insn *out)
{
	uint64_t key[2], words[INSN_WORDS];
	struct set *s = key_of(window, avail, bits, key);
	unsigned seq = atomic_load_explicit(&s->seq, memory_order_acquire);

	for (unsigned way = 0; way < WAYS && !(seq & 1); way++) {
		if (!way_matches(s, way, key))
			continue;
		for (size_t i = 0; i < INSN_WORDS; i++)
			words[i] = atomic_load_explicit(&s->insn[way][i], memory_order_relaxed);
		atomic_thread_fence(memory_order_acquire);
		if (atomic_load_explicit(&s->seq, memory_order_relaxed) != seq)
			break;
		memcpy(out, words, sizeof(*out));
		atomic_fetch_add_explicit(&my_slot()->hits, 1, memory_order_relaxed);
		return true;
	}
	atomic_fetch_add_explicit(&my_slot()->misses, 1, memory_order_relaxed);
	return false;
}

void cache_store(const uint8_t window[16], unsigned avail, unsigned bits, const struct insn *in)
{
	uint64_t key[2], words[INSN_WORDS] = { 0 };
	struct set *s = key_of(window, avail, bits, key);
	unsigned seq = atomic_load_explicit(&s->seq, memory_order_relaxed);
	unsigned way;

	if (seq & 1 || !atomic_compare_exchange_strong_explicit(
			       &s->seq, &seq, seq + 1, memory_order_acquire, memory_order_relaxed))
		return;
	atomic_thread_fence(memory_order_release);
	for (way = 0; way < WAYS; way++)
		if (way_matches(s, way, key)) /* another thread was faster */
			goto unlock;
	way = seq / 2 % WAYS;
	memcpy(words, in, sizeof(*in));
	atomic_store_explicit(&s->key[way][0], key[0], memory_order_relaxed);
	atomic_store_explicit(&s->key[way][1], key[1], memory_order_relaxed);
	for (size_t i = 0; i < INSN_WORDS; i++)
		atomic_store_explicit(&s->insn[way][i], words[i], memory_order_relaxed);
unlock:
	atomic_store_explicit(&s->seq, seq + 2, memory_order_release);
}

void insn_cache_stats(struct insn_cache_stats *out)
{
	*out = (struct insn_cache_stats){ 0 };
	for (unsigned i = 0; i < SLOTS; i++) {
		uint64_t hits = atomic_load_explicit(&slots[i].hits, memory_order_relaxed);

		out->hits += hits;
		out->lookups += hits;
		out->lookups += atomic_load_explicit(&slots[i].misses, memory_order_relaxed);
	}
}
