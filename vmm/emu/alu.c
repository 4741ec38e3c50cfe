/* SPDX-License-Identifier: MIT */
/* Integer arithmetic with x86 flags: see alu.h. */
#include "vmm/emu/alu.h"

static uint32_t mask_of(unsigned width)
{
	return width == 4 ? 0xffffffff : width == 2 ? 0xffff : 0xff;
}

static uint32_t sign_of(unsigned width)
{
	return 1u << (width * 8 - 1);
}

uint32_t alu_sign_extend(unsigned width, uint32_t val)
{
	uint32_t sign = sign_of(width);

	val &= mask_of(width);
	return (val ^ sign) - sign;
}

static uint32_t flag(bool on, uint32_t bit)
{
	return on ? bit : 0;
}

/* SF, ZF and PF of a result; PF looks at the low byte only. */
static uint32_t szp(unsigned width, uint32_t r)
{
	return flag(r & sign_of(width), FL_SF) | flag(!(r & mask_of(width)), FL_ZF) |
	       flag(!__builtin_parity(r & 0xff), FL_PF);
}

static void set(uint32_t *fl, uint32_t which, uint32_t val)
{
	*fl = (*fl & ~which) | (val & which);
}

static uint32_t add(unsigned width, uint32_t a, uint32_t b, unsigned carry, uint32_t *fl)
{
	uint64_t sum = (uint64_t)a + b + carry;
	uint32_t r = (uint32_t)sum & mask_of(width);

	set(fl, FL_ARITH,
	    szp(width, r) | flag(sum > mask_of(width), FL_CF) | ((a ^ b ^ r) & FL_AF) |
		    flag((a ^ r) & (b ^ r) & sign_of(width), FL_OF));
	return r;
}

static uint32_t sub(unsigned width, uint32_t a, uint32_t b, unsigned borrow, uint32_t *fl)
{
	uint32_t r = (a - b - borrow) & mask_of(width);

	set(fl, FL_ARITH,
	    szp(width, r) | flag((uint64_t)a < (uint64_t)b + borrow, FL_CF) |
		    ((a ^ b ^ r) & FL_AF) | flag((a ^ b) & (a ^ r) & sign_of(width), FL_OF));
	return r;
}

/* AF is undefined; the CPUs clear it. */
static uint32_t logic(unsigned width, uint32_t r, uint32_t *fl)
{
	set(fl, FL_ARITH, szp(width, r));
	return r;
}

uint32_t alu_binary(unsigned op, unsigned width, uint32_t a, uint32_t b, uint32_t *fl)
{
	unsigned carry = *fl & FL_CF;

	a &= mask_of(width);
	b &= mask_of(width);
	switch (op) {
	case OP_ADD: return add(width, a, b, 0, fl);
	case OP_ADC: return add(width, a, b, carry, fl);
	case OP_SUB:
	case OP_CMP: return sub(width, a, b, 0, fl);
	case OP_SBB: return sub(width, a, b, carry, fl);
	case OP_AND:
	case OP_TEST: return logic(width, a & b, fl);
	case OP_OR: return logic(width, a | b, fl);
	default: return logic(width, a ^ b, fl); /* OP_XOR */
	}
}

uint32_t alu_unary(unsigned op, unsigned width, uint32_t a, uint32_t *fl)
{
	uint32_t carry = *fl & FL_CF, r;

	a &= mask_of(width);
	switch (op) {
	case OP_INC: /* INC and DEC keep CF */
		r = add(width, a, 1, 0, fl);
		set(fl, FL_CF, carry);
		return r;
	case OP_DEC:
		r = sub(width, a, 1, 0, fl);
		set(fl, FL_CF, carry);
		return r;
	case OP_NEG: return sub(width, 0, a, 0, fl);
	default: return ~a & mask_of(width); /* OP_NOT: no flags */
	}
}

/*
 * Rotates change CF and OF only.  OF is defined for a count of one; the formula of that case is
 * used for all.  RCL and RCR rotate through CF: width + 1 bits.
 */
static uint32_t rotate(unsigned op, unsigned width, uint32_t a, unsigned count, uint32_t *fl)
{
	unsigned bits = width * 8;
	bool through = op == OP_RCL || op == OP_RCR;
	bool left = op == OP_ROL || op == OP_RCL;
	unsigned n = bits + through;
	uint64_t all = ((uint64_t)1 << n) - 1;
	uint64_t x = a | (uint64_t)(through && (*fl & FL_CF)) << bits;
	unsigned by = count % n;
	uint32_t r;
	bool cf, top, next;

	if (!count)
		return a;
	if (!left)
		by = (n - by) % n;
	if (by)
		x = (x << by | x >> (n - by)) & all;
	r = (uint32_t)x & mask_of(width);
	top = r & sign_of(width);
	next = r & (sign_of(width) >> 1);
	cf = through ? x >> bits & 1 : left ? r & 1 : top;
	set(fl, FL_CF | FL_OF, flag(cf, FL_CF) | flag(left ? top != cf : top != next, FL_OF));
	return r;
}

/*
 * OF is defined for a count of one only; here it is the formula of that case for SHL (sign of the
 * result against CF), SHR (the old sign, for one; zero else) and SAR (zero).  AF is undefined and
 * cleared.  CF beyond the width is undefined for SHL and SHR: the bit that a wide shifter gives.
 */
static uint32_t shift(unsigned op, unsigned width, uint32_t a, unsigned count, uint32_t *fl)
{
	int64_t wide = (int32_t)alu_sign_extend(width, a);
	uint64_t left = (uint64_t)a << count;
	uint32_t r;
	bool cf, of;

	if (!count)
		return a;
	switch (op) {
	case OP_SHL:
		r = (uint32_t)left & mask_of(width);
		cf = left >> (width * 8) & 1;
		of = !!(r & sign_of(width)) != cf;
		break;
	case OP_SHR:
		r = a >> count;
		cf = a >> (count - 1) & 1;
		of = count == 1 && (a & sign_of(width));
		break;
	default: /* OP_SAR; shifting a negative number right is arithmetic in gcc */
		r = (uint32_t)(wide >> count) & mask_of(width);
		cf = wide >> (count - 1) & 1;
		of = false;
		break;
	}
	set(fl, FL_ARITH, szp(width, r) | flag(cf, FL_CF) | flag(of, FL_OF));
	return r;
}

uint32_t alu_shift(unsigned op, unsigned width, uint32_t a, unsigned count, uint32_t *fl)
{
	a &= mask_of(width);
	count &= 31;
	if (op == OP_SHL || op == OP_SHR || op == OP_SAR)
		return shift(op, width, a, count, fl);
	return rotate(op, width, a, count, fl);
}

/*
 * A count above the width (16-bit operands) leaves result and flags undefined: computed as a
 * rotation of the three words a:b:a, as Intel's CPUs do.  OF: the sign changed (defined for one).
 */
uint32_t alu_double_shift(unsigned op, unsigned width, uint32_t a, uint32_t b, unsigned count,
			  uint32_t *fl)
{
	unsigned bits = width * 8;
	uint64_t x;
	uint32_t r;
	bool cf;

	a &= mask_of(width);
	b &= mask_of(width);
	count &= 31;
	if (!count)
		return a;
	/* The destination on top for SHLD, at the bottom for SHRD; 64 or 48 bits in all. */
	if (bits == 32)
		x = op == OP_SHLD ? (uint64_t)a << 32 | b : (uint64_t)b << 32 | a;
	else
		x = (uint64_t)a << 32 | (uint64_t)b << 16 | a;
	if (op == OP_SHLD) {
		r = (uint32_t)(x >> (32 - count)) & mask_of(width);
		cf = x >> (bits + 32 - count) & 1;
	} else {
		r = (uint32_t)(x >> count) & mask_of(width);
		cf = x >> (count - 1) & 1;
	}
	set(fl, FL_ARITH, szp(width, r) | flag(cf, FL_CF) | flag((a ^ r) & sign_of(width), FL_OF));
	return r;
}

/* OF SF AF PF are undefined; the CPUs leave them, and ZF is kept by definition. */
uint32_t alu_bit(unsigned op, unsigned width, uint32_t a, unsigned bit, uint32_t *fl)
{
	uint32_t m = 1u << (bit & (width * 8 - 1));

	set(fl, FL_CF, flag(a & m, FL_CF));
	switch (op) {
	case OP_BTS: return a | m;
	case OP_BTR: return a & ~m;
	case OP_BTC: return a ^ m;
	default: return a; /* OP_BT */
	}
}

/* SF and PF of the low half are what recent Intel CPUs give, ZF and AF clear; all undefined. */
uint64_t alu_multiply(bool sign, unsigned width, uint32_t a, uint32_t b, uint32_t *fl)
{
	uint64_t product;
	bool over;

	if (sign) {
		int64_t p = (int64_t)(int32_t)alu_sign_extend(width, a) *
			    (int32_t)alu_sign_extend(width, b);

		over = p != (int32_t)alu_sign_extend(width, (uint32_t)p);
		product = (uint64_t)p;
	} else {
		product = (uint64_t)(a & mask_of(width)) * (b & mask_of(width));
		over = product > mask_of(width);
	}
	set(fl, FL_ARITH,
	    (szp(width, (uint32_t)product) & (FL_SF | FL_PF)) | flag(over, FL_CF | FL_OF));
	return width == 4 ? product : product & ((1ull << width * 16) - 1);
}

bool alu_divide(bool sign, unsigned width, uint64_t dividend, uint32_t divisor, uint32_t *quot,
		uint32_t *rem)
{
	uint32_t m = mask_of(width);
	uint64_t n = dividend, d = divisor & m, q;
	bool n_neg = false, d_neg = false;

	if (width < 4)
		n &= (1ull << width * 16) - 1;
	if (!d)
		return false;
	if (sign) { /* on magnitudes: no signed overflow can happen */
		n_neg = n >> (width * 16 - 1) & 1;
		d_neg = d & sign_of(width);
		if (n_neg)
			n = (0 - n) & (width == 4 ? ~0ull : (1ull << width * 16) - 1);
		if (d_neg)
			d = (0 - d) & m;
	}
	q = n / d;
	n %= d;
	if (q > (sign ? (uint64_t)sign_of(width) - (n_neg == d_neg) : m))
		return false;
	*quot = (uint32_t)(n_neg != d_neg ? 0 - q : q) & m;
	*rem = (uint32_t)(n_neg ? 0 - n : n) & m;
	return true;
}

bool alu_condition(unsigned cond, uint32_t fl)
{
	bool cf = fl & FL_CF, zf = fl & FL_ZF, sf = fl & FL_SF, of = fl & FL_OF, r;

	switch (cond >> 1 & 7) {
	case 0: r = of; break;
	case 1: r = cf; break;
	case 2: r = zf; break;
	case 3: r = cf || zf; break;
	case 4: r = sf; break;
	case 5: r = fl & FL_PF; break;
	case 6: r = sf != of; break;
	default: r = zf || sf != of; break;
	}
	return r != (cond & 1);
}
