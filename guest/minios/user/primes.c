/* SPDX-License-Identifier: MIT */
/* primes N: the prime numbers below N, by the sieve of Eratosthenes, on the heap. */
#include "user.h"

int main(int argc, char **argv)
{
	uint32_t n = argc > 1 ? number(argv[1]) : 100, count = 0, last = 0;
	uint32_t start = brk(0);
	uint8_t *composite = (uint8_t *)start;

	if (brk(start + n) != start + n) {
		printf("primes: no room for %u numbers\n", n);
		return 1;
	}
	/* Nothing to clear: a page that was never touched is full of zeroes. */
	for (uint32_t i = 2; i < n; i++) {
		if (composite[i])
			continue;
		count++;
		last = i;
		if (n <= 100)
			printf("%u ", i);
		for (uint32_t k = 2 * i; k < n; k += i)
			composite[k] = 1;
	}
	printf("%s%u primes below %u, the last is %u\n", n <= 100 ? "\n" : "", count, n, last);
	return 0;
}
