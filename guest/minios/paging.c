/* SPDX-License-Identifier: MIT */
/*
 * Page tables.
 *
 * An address has three parts: 10 bits choose an entry of the page directory, which says where a
 * page table is; 10 bits choose an entry of that, which says where the page is; 12 bits are the
 * place in the page.  Both tables are 1024 entries of 4 bytes: one frame each.
 * Source: SDM Vol. 3A, "32-Bit Paging" (4.3); CR0.WP: "Access Rights" (4.6).
 */
#include "os.h"
#include "x86.h"

#define CR0_WP 0x00010000u /* read-only is read-only for the kernel too */
#define CR0_PG 0x80000000u

uint32_t *kernel_dir;

uint32_t *page_entry(uint32_t *dir, uint32_t va, bool make)
{
	uint32_t *pde = &dir[va >> 22];
	if (!(*pde & PTE_P)) {
		uint32_t table = make ? frame_alloc() : 0;
		if (!table)
			return NULL;
		/* The directory allows everything; each page's own entry decides. */
		*pde = table | PTE_P | PTE_W | PTE_U;
	}
	return (uint32_t *)(*pde & PTE_ADDR) + (va >> 12 & 0x3ff);
}

void paging_use(uint32_t *dir)
{
	WRITE_CR(3, dir);
}

static void map(uint32_t va, uint32_t flags)
{
	uint32_t *pte = page_entry(kernel_dir, va, true);
	if (!pte)
		panic("no memory for the kernel's page tables");
	*pte = va | flags | PTE_P;
}

/*
 * Map RAM and the local APIC where they are, then switch paging on.  Page 0 is left out, to catch
 * null pointers, and the kernel's code is read-only, to catch the wild ones.
 */
void paging_init(void)
{
	kernel_dir = (uint32_t *)frame_alloc();
	for (uint32_t pa = PAGE_SIZE; pa < frames_end(); pa += PAGE_SIZE) {
		bool code = pa >= 0x100000 && pa < (uint32_t)kernel_data;
		map(pa, code ? 0 : PTE_W);
	}
	map(LAPIC_BASE, PTE_W | PTE_PCD);
	paging_use(kernel_dir);
	WRITE_CR(0, READ_CR(0) | CR0_PG | CR0_WP);
}
