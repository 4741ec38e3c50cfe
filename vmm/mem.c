/* SPDX-License-Identifier: MIT */
/*
 * Guest memory: physical to host, linear to physical, segmented to linear.  Each layer only
 * calls the one below it.
 */
#include <errno.h>
#include <string.h>

#include "vmm/account.h"
#include "vmm/code.h"
#include "vmm/bus.h"
#include "vmm/machine.h"
#include "vmm/mem.h"
#include "vmm/mmu.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

void *vm_ptr(struct vm *vm, gpa_t gpa, size_t len)
{
	if (len > vm->ram_len || gpa > vm->ram_len - len)
		return NULL;
	return vm->ram + gpa;
}

int mmu_translate(struct vcpu *v, gva_t gva, unsigned access, gpa_t *gpa, uint32_t *pfec)
{
	struct mmu_leaf leaf;

	if (!(v->sh.cr0 & CR0_PG)) {
		*gpa = gva;
		return 0;
	}
	if (mmu_walk(v, gva, access, &leaf, pfec) < 0)
		return -EFAULT;
	*gpa = leaf.gpa;
	return 0;
}

/* Would mmu_translate() succeed?  Sets neither A nor D. */
static int check(struct vcpu *v, gva_t gva, unsigned access, uint32_t *pfec)
{
	return v->sh.cr0 & CR0_PG ? mmu_check(v, gva, access, pfec) : 0;
}

/* ---- physical ---- */

static uint32_t mmio_read(struct vcpu *v, gpa_t gpa, unsigned width)
{
	account_mmio(v->account);
	if (v->vm->machine)
		return machine_mmio_read(v->vm, v, gpa, width);
	return bus_read(&v->vm->mmio, gpa, width);
}

static void mmio_write(struct vcpu *v, gpa_t gpa, unsigned width, uint32_t val)
{
	account_mmio(v->account);
	if (v->vm->machine)
		machine_mmio_write(v->vm, v, gpa, width, val);
	else
		bus_write(&v->vm->mmio, gpa, width, val);
}

/* The largest naturally aligned bus access (1, 2 or 4 bytes) at @gpa within @len bytes. */
static unsigned mmio_piece(gpa_t gpa, size_t len)
{
	if (len >= 4 && gpa % 4 == 0)
		return 4;
	if (len >= 2 && gpa % 2 == 0)
		return 2;
	return 1;
}

/*
 * Copies of 1, 2, 4 or 8 aligned bytes are single accesses, as on the CPU: another vCPU must not
 * see half of them (SDM Vol. 3A, "Guaranteed Atomic Operations", 8.1.1).
 */
static void ram_read(const void *hva, void *buf, size_t len)
{
	uintptr_t aligned = (uintptr_t)hva % len == 0;
	uint64_t q;
	uint32_t d;
	uint16_t w;

	if (len == 4 && aligned) {
		d = __atomic_load_n((const uint32_t *)hva, __ATOMIC_ACQUIRE);
		memcpy(buf, &d, 4);
	} else if (len == 2 && aligned) {
		w = __atomic_load_n((const uint16_t *)hva, __ATOMIC_ACQUIRE);
		memcpy(buf, &w, 2);
	} else if (len == 8 && aligned) {
		q = __atomic_load_n((const uint64_t *)hva, __ATOMIC_ACQUIRE);
		memcpy(buf, &q, 8);
	} else {
		memcpy(buf, hva, len);
	}
}

static void ram_write(void *hva, const void *buf, size_t len)
{
	uintptr_t aligned = (uintptr_t)hva % len == 0;
	uint64_t q;
	uint32_t d;
	uint16_t w;

	if (len == 4 && aligned) {
		memcpy(&d, buf, 4);
		__atomic_store_n((uint32_t *)hva, d, __ATOMIC_RELEASE);
	} else if (len == 2 && aligned) {
		memcpy(&w, buf, 2);
		__atomic_store_n((uint16_t *)hva, w, __ATOMIC_RELEASE);
	} else if (len == 8 && aligned) {
		memcpy(&q, buf, 8);
		__atomic_store_n((uint64_t *)hva, q, __ATOMIC_RELEASE);
	} else {
		memcpy(hva, buf, len);
	}
}

/* @gpa to @gpa + @len lies within one page, and RAM ends on a page boundary: no straddling. */
void mem_phys_read(struct vcpu *v, gpa_t gpa, uint8_t *buf, size_t len)
{
	const void *hva = vm_ptr(v->vm, gpa, len);
	unsigned piece;
	uint32_t val;

	if (hva) {
		ram_read(hva, buf, len);
		return;
	}
	for (; len; gpa += piece, buf += piece, len -= piece) {
		piece = mmio_piece(gpa, len);
		val = mmio_read(v, gpa, piece);
		memcpy(buf, &val, piece);
	}
}

void mem_phys_write(struct vcpu *v, gpa_t gpa, const uint8_t *buf, size_t len)
{
	void *hva = vm_ptr(v->vm, gpa, len);
	unsigned piece;

	if (hva) {
		ram_write(hva, buf, len);
		if (code_shadowed(v->vm->code, gpa))
			code_written(v->vm->code, gpa, len);
		return;
	}
	for (; len; gpa += piece, buf += piece, len -= piece) {
		uint32_t val = 0;

		piece = mmio_piece(gpa, len);
		memcpy(&val, buf, piece);
		mmio_write(v, gpa, piece, val);
	}
}

/* ---- linear ---- */

static int page_fault(struct vcpu *v, gva_t gva, uint32_t pfec)
{
	vcpu_fault(v, VEC_PF, true, pfec);
	v->fault.cr2 = gva;
	return EMU_FAULT;
}

/* A linear range of up to a page: at most two physical pieces. */
struct span {
	gpa_t gpa[2];
	size_t len[2]; /* len[1] is 0 if one page holds it all */
};

/* Bytes of [gva, gva + len) in its first page. */
static size_t in_first_page(gva_t gva, size_t len)
{
	size_t room = PAGE_SIZE - gva % PAGE_SIZE;

	return len < room ? len : room;
}

/* Is all of the range accessible?  The lower page is the first to fault.  Sets neither A nor D. */
static int span_check(struct vcpu *v, gva_t gva, size_t len, unsigned access)
{
	size_t first = in_first_page(gva, len);
	uint32_t pfec = 0;

	if (check(v, gva, access, &pfec) < 0)
		return page_fault(v, gva, pfec);
	gva += (gva_t)first; /* wraps at 4 GiB, as the linear address does */
	if (first < len && check(v, gva, access, &pfec) < 0)
		return page_fault(v, gva, pfec);
	return 0;
}

/*
 * Translate all of the range before any of it is touched.  A write over two pages looks at both
 * before it marks one, so that D means that something was written.  A read may leave A in the first
 * page when the second faults, as the CPU does.
 */
static int span_translate(struct vcpu *v, gva_t gva, size_t len, unsigned access, struct span *s)
{
	gva_t second;
	uint32_t pfec = 0;
	int r;

	if (len > PAGE_SIZE)
		len = PAGE_SIZE;
	s->len[0] = in_first_page(gva, len);
	s->len[1] = len - s->len[0];
	second = gva + (gva_t)s->len[0];
	if (s->len[1] && (access & PF_WRITE)) {
		r = span_check(v, gva, len, access);
		if (r)
			return r;
	}
	if (mmu_translate(v, gva, access, &s->gpa[0], &pfec) < 0)
		return page_fault(v, gva, pfec);
	if (s->len[1] && mmu_translate(v, second, access, &s->gpa[1], &pfec) < 0)
		return page_fault(v, second, pfec);
	return 0;
}

int mem_read(struct vcpu *v, gva_t gva, void *buf, size_t len, unsigned access)
{
	struct span s;
	int r;

	if (!len)
		return 0;
	r = span_translate(v, gva, len, access & ~PF_WRITE, &s);
	if (r)
		return r;
	mem_phys_read(v, s.gpa[0], buf, s.len[0]);
	if (s.len[1])
		mem_phys_read(v, s.gpa[1], (uint8_t *)buf + s.len[0], s.len[1]);
	return 0;
}

int mem_write(struct vcpu *v, gva_t gva, const void *buf, size_t len, unsigned access)
{
	struct span s;
	int r;

	if (!len)
		return 0;
	r = span_translate(v, gva, len, access | PF_WRITE, &s);
	if (r)
		return r;
	mem_phys_write(v, s.gpa[0], buf, s.len[0]);
	if (s.len[1])
		mem_phys_write(v, s.gpa[1], (const uint8_t *)buf + s.len[0], s.len[1]);
	return 0;
}

int mem_probe_read(struct vcpu *v, gva_t gva, size_t len, unsigned access)
{
	return len ? span_check(v, gva, len, access & ~PF_WRITE) : 0;
}

int mem_probe_write(struct vcpu *v, gva_t gva, size_t len, unsigned access)
{
	return len ? span_check(v, gva, len, access | PF_WRITE) : 0;
}

/* One compare-and-swap of @len (1, 2, 4, 8) aligned bytes of RAM. */
static bool ram_cas(void *hva, uint64_t old, uint64_t val, size_t len)
{
	uint64_t q = old;
	uint32_t d = (uint32_t)old;
	uint16_t w = (uint16_t)old;
	uint8_t b = (uint8_t)old;

	switch (len) {
	case 1:
		return __atomic_compare_exchange_n((uint8_t *)hva, &b, (uint8_t)val, false,
						   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	case 2:
		return __atomic_compare_exchange_n((uint16_t *)hva, &w, (uint16_t)val, false,
						   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	case 4:
		return __atomic_compare_exchange_n((uint32_t *)hva, &d, (uint32_t)val, false,
						   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	default:
		return __atomic_compare_exchange_n((uint64_t *)hva, &q, val, false,
						   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	}
}

int mem_cas(struct vcpu *v, gva_t gva, uint64_t old, uint64_t val, size_t len, unsigned access)
{
	struct span s;
	void *hva;
	int r = span_translate(v, gva, len, access | PF_WRITE, &s);

	if (r)
		return r;
	hva = s.len[1] ? NULL : vm_ptr(v->vm, s.gpa[0], len);
	if (hva && (uintptr_t)hva % len == 0) {
		if (!ram_cas(hva, old, val, len))
			return -EAGAIN;
		if (code_shadowed(v->vm->code, s.gpa[0]))
			code_written(v->vm->code, s.gpa[0], len);
		return 0;
	}
	return mem_write(v, gva, &val, len, access);
}

/* ---- segmented ---- */

unsigned mem_user(const struct vcpu *v)
{
	return v->sh.cpl == 3 ? PF_USER : 0;
}

/* Is [@off, @off + @len) within the segment?  @len > 0. */
static bool within_limit(const struct segment *s, uint32_t off, size_t len)
{
	bool expand_down = s->s && !(s->type & 8) && (s->type & 4);
	uint32_t last = off + (uint32_t)(len - 1);

	if (expand_down) {
		/* Valid: limit + 1 up to 0xffff or, with the B bit, 0xffffffff. */
		uint32_t top = s->db ? 0xffffffff : 0xffff;

		return off > s->limit && last >= off && last <= top;
	}
	/*
	 * With a 4 GiB limit the manual leaves an access that wraps to the implementation; the CPUs
	 * we run on, and KVM, let it wrap.
	 */
	if (s->limit == 0xffffffff)
		return true;
	return last >= off && last <= s->limit;
}

/* Do the type bits allow it?  Real and virtual-8086 mode have no types. */
static bool type_allows(const struct vcpu *v, const struct segment *s, bool write)
{
	if (!vcpu_protected(v) || (v->regs.eflags & FL_VM))
		return true;
	if (s->type & 8) /* code: never writable, readable if bit 1 */
		return !write && (s->type & 2);
	return !write || (s->type & 2);
}

int seg_linear(struct vcpu *v, enum seg seg, uint32_t off, size_t len, bool write, gva_t *gva)
{
	const struct segment *s;

	if ((unsigned)seg >= SEG_COUNT) /* an operand without a segment: the decoder's mistake */
		return vcpu_gp(v, 0);
	s = &v->regs.seg[seg];
	if (s->unusable || (len && !type_allows(v, s, write)))
		return vcpu_gp(v, 0);
	if (len && !within_limit(s, off, len))
		return vcpu_fault(v, seg == SEG_SS ? VEC_SS : VEC_GP, true, 0);
	*gva = s->base + off;
	return 0;
}

int seg_read(struct vcpu *v, enum seg seg, uint32_t off, void *buf, size_t len)
{
	gva_t gva;
	int r = seg_linear(v, seg, off, len, false, &gva);

	return r ? r : mem_read(v, gva, buf, len, mem_user(v));
}

int seg_write(struct vcpu *v, enum seg seg, uint32_t off, const void *buf, size_t len)
{
	gva_t gva;
	int r = seg_linear(v, seg, off, len, true, &gva);

	return r ? r : mem_write(v, gva, buf, len, mem_user(v));
}

int code_fetch(struct vcpu *v, uint32_t eip, uint8_t *buf, size_t max)
{
	const struct segment *cs = &v->regs.seg[SEG_CS];
	unsigned access = PF_FETCH | mem_user(v);
	size_t done = 0;

	if (max > PAGE_SIZE)
		max = PAGE_SIZE;
	if (cs->unusable || eip > cs->limit) {
		vcpu_gp(v, 0);
		return 0;
	}
	if (max && max - 1 > cs->limit - eip)
		max = (size_t)(cs->limit - eip) + 1;
	/* What comes after the last byte: the end of the segment, or an instruction too long. */
	vcpu_gp(v, 0);
	while (done < max) {
		gva_t gva = cs->base + eip + (uint32_t)done;
		size_t n = PAGE_SIZE - gva % PAGE_SIZE;
		uint32_t pfec = 0;
		const void *hva;
		gpa_t gpa;

		if (n > max - done)
			n = max - done;
		if (mmu_translate(v, gva, access, &gpa, &pfec) < 0) {
			page_fault(v, gva, pfec);
			break;
		}
		/* Code outside RAM reads as an empty bus; fetching must not touch a device. */
		hva = vm_ptr(v->vm, gpa, n);
		if (hva)
			memcpy(buf + done, hva, n);
		else
			memset(buf + done, 0xff, n);
		done += n;
	}
	return (int)done;
}
