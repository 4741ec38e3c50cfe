/* SPDX-License-Identifier: MIT */
/* The instructions that C has no words for. */
#ifndef MINIOS_X86_H
#define MINIOS_X86_H

#include <stdint.h>

static inline void outb(uint16_t port, uint8_t val)
{
	__asm__ volatile("outb %0, %1" : : "a"(val), "Nd"(port));
}

static inline void outl(uint16_t port, uint32_t val)
{
	__asm__ volatile("outl %0, %1" : : "a"(val), "Nd"(port));
}

static inline uint8_t inb(uint16_t port)
{
	uint8_t val;
	__asm__ volatile("inb %1, %0" : "=a"(val) : "Nd"(port));
	return val;
}

static inline uint16_t inw(uint16_t port)
{
	uint16_t val;
	__asm__ volatile("inw %1, %0" : "=a"(val) : "Nd"(port));
	return val;
}

static inline uint32_t inl(uint16_t port)
{
	uint32_t val;
	__asm__ volatile("inl %1, %0" : "=a"(val) : "Nd"(port));
	return val;
}

static inline void cli(void)
{
	__asm__ volatile("cli" : : : "memory");
}

static inline void sti(void)
{
	__asm__ volatile("sti" : : : "memory");
}

/* Shut interrupts out, whether or not they were; then put things back as they were. */
static inline uint32_t irq_save(void)
{
	uint32_t flags;
	__asm__ volatile("pushfl\n\tpopl %0\n\tcli" : "=r"(flags) : : "memory");
	return flags;
}

static inline void irq_restore(uint32_t flags)
{
	__asm__ volatile("pushl %0\n\tpopfl" : : "r"(flags) : "memory", "cc");
}

/*
 * Let pending interrupts in, then shut them out again.  STI takes effect after the *next*
 * instruction, so there must be one between the two: SDM Vol. 2B, "STI".
 */
static inline void sti_nop_cli(void)
{
	__asm__ volatile("sti\n\tnop\n\tcli" : : : "memory");
}

/*
 * Sleep until an interrupt has been handled.  STI and HLT belong together: an interrupt that
 * came before the HLT is only delivered after it has begun, so none can slip through between.
 */
static inline void sti_hlt_cli(void)
{
	__asm__ volatile("sti\n\thlt\n\tcli" : : : "memory");
}

static inline uint64_t rdtsc(void)
{
	uint32_t lo, hi;
	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (uint64_t)hi << 32 | lo;
}

static inline uint64_t rdmsr(uint32_t msr)
{
	uint32_t lo, hi;
	__asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
	return (uint64_t)hi << 32 | lo;
}

static inline void cpuid(uint32_t leaf, uint32_t r[4])
{
	__asm__ volatile("cpuid"
			 : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3])
			 : "0"(leaf), "2"(0));
}

/* To be said in every loop that waits for another processor: SDM Vol. 2B, "PAUSE". */
static inline void cpu_pause(void)
{
	__asm__ volatile("pause" : : : "memory");
}

/* Forget what the TLB knows about the page of @va. */
static inline void invlpg(uint32_t va)
{
	__asm__ volatile("invlpg (%0)" : : "r"(va) : "memory");
}

#define READ_CR(n)                                                    \
	({                                                            \
		uint32_t val_;                                        \
		__asm__ volatile("movl %%cr" #n ", %0" : "=r"(val_)); \
		val_;                                                 \
	})
#define WRITE_CR(n, val) __asm__ volatile("movl %0, %%cr" #n : : "r"((uint32_t)(val)) : "memory")

#endif
