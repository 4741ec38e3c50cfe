/* SPDX-License-Identifier: MIT */
#include "vmm/hist.h"

#include "vmm/counter.h"

static size_t bucket_of(uint64_t val)
{
	unsigned exp;

	if (val < HIST_SUB)
		return (size_t)val;
	exp = 63 - (unsigned)__builtin_clzll(val);
	if (exp > HIST_MAX_EXP)
		return HIST_BUCKETS - 1;
	return (exp - HIST_SUB_BITS + 1) * HIST_SUB +
	       ((val >> (exp - HIST_SUB_BITS)) & (HIST_SUB - 1));
}

/* The largest value in bucket @i. */
static uint64_t bucket_last(size_t i)
{
	unsigned shift;

	if (i < HIST_SUB)
		return i;
	shift = (unsigned)(i / HIST_SUB) - 1;
	return ((HIST_SUB + (uint64_t)(i % HIST_SUB) + 1) << shift) - 1;
}

void hist_add(struct hist *h, uint64_t val)
{
	counter_add(&h->count, 1);
	counter_add(&h->sum, val);
	if (val > h->max)
		counter_set(&h->max, val);
	counter_add(&h->bucket[bucket_of(val)], 1);
}

void hist_merge(struct hist *to, const struct hist *from)
{
	uint64_t max = counter_read(&from->max);

	to->count += counter_read(&from->count);
	to->sum += counter_read(&from->sum);
	if (max > to->max)
		to->max = max;
	for (size_t i = 0; i < HIST_BUCKETS; i++)
		to->bucket[i] += counter_read(&from->bucket[i]);
}

uint64_t hist_mean(const struct hist *h)
{
	return h->count ? h->sum / h->count : 0;
}

bool hist_next(const struct hist *h, size_t *i, uint64_t *from, uint64_t *to, uint64_t *count)
{
	for (; *i < HIST_BUCKETS; (*i)++) {
		if (!h->bucket[*i])
			continue;
		*count = h->bucket[*i];
		*from = *i ? bucket_last(*i - 1) + 1 : 0;
		*to = *i == HIST_BUCKETS - 1 ? UINT64_MAX : bucket_last(*i);
		(*i)++;
		return true;
	}
	return false;
}

uint64_t hist_percentile(const struct hist *h, double q)
{
	double wanted = q * (double)h->count;
	uint64_t seen = 0;

	if (!h->count)
		return 0;
	for (size_t i = 0; i < HIST_BUCKETS - 1; i++) {
		seen += h->bucket[i];
		if (seen && (double)seen >= wanted)
			return bucket_last(i) < h->max ? bucket_last(i) : h->max;
	}
	/* The last bucket has no upper end; the maximum is the best that is known. */
	return h->max;
}
