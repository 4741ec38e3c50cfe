/* SPDX-License-Identifier: MIT */
/*
 * The registers of a VGA that stays in text mode 3: they keep what is written, and of them only
 * the start address, the cursor and the blink bit mean anything (vmm/display.c shows them).  The
 * text itself is guest RAM at 0xb8000, which nobody traps.
 * Source: IBM Personal System/2 Hardware Interface Technical Reference, "Video Subsystem".
 */
#include "vmm/dev/devices.h"

#include <stdlib.h>
#include <string.h>

#define VGA_BASE   0x3c0
#define VGA_LEN    16
#define CRTC_BASE  0x3d4
#define VGA_STATUS 0x3da

#define CRTC_REGS 25
#define SEQ_REGS  5
#define GFX_REGS  9
#define ATTR_REGS 21
#define DAC_LEN   768

#define CRTC_CURSOR_START 0x0a
#define CRTC_START_HIGH   0x0c
#define CRTC_CURSOR_HIGH  0x0e
#define CURSOR_OFF        0x20
#define ATTR_MODE         0x10
#define ATTR_BLINK        0x08
#define STATUS_RETRACE    0x09 /* not displaying; vertical retrace */

struct vga {
	uint8_t crtc[CRTC_REGS], seq[SEQ_REGS], gfx[GFX_REGS], attr[ATTR_REGS], dac[DAC_LEN];
	uint8_t crtc_index, seq_index, gfx_index, attr_index;
	uint8_t misc, pel_mask, status;
	unsigned dac_read, dac_write; /* bytes */
	bool attr_data;               /* the next write to 0x3c0 is data */
};

static uint8_t reg_get(const uint8_t *regs, size_t count, uint8_t index)
{
	return index < count ? regs[index] : 0;
}

static void reg_set(uint8_t *regs, size_t count, uint8_t index, uint8_t val)
{
	if (index < count)
		regs[index] = val;
}

static void attr_write(struct vga *v, uint8_t val)
{
	if (v->attr_data)
		reg_set(v->attr, ATTR_REGS, v->attr_index & 0x1f, val);
	else
		v->attr_index = val & 0x3f;
	v->attr_data = !v->attr_data;
}

static uint32_t vga_read(void *dev, uint64_t off, unsigned width)
{
	struct vga *v = dev;

	(void)width;
	switch (off) {
	case 0x0: return v->attr_index;
	case 0x1: return reg_get(v->attr, ATTR_REGS, v->attr_index & 0x1f);
	case 0x4: return v->seq_index;
	case 0x5: return reg_get(v->seq, SEQ_REGS, v->seq_index);
	case 0x6: return v->pel_mask;
	case 0x8: return (v->dac_write / 3) & 0xff;
	case 0x9: v->dac_read %= DAC_LEN; return v->dac[v->dac_read++];
	case 0xc: return v->misc;
	case 0xe: return v->gfx_index;
	case 0xf: return reg_get(v->gfx, GFX_REGS, v->gfx_index);
	default: return 0;
	}
}

static void vga_write(void *dev, uint64_t off, unsigned width, uint32_t val32)
{
	struct vga *v = dev;
	uint8_t val = (uint8_t)val32;

	(void)width;
	switch (off) {
	case 0x0: attr_write(v, val); break;
	case 0x2: v->misc = val; break;
	case 0x4: v->seq_index = val; break;
	case 0x5: reg_set(v->seq, SEQ_REGS, v->seq_index, val); break;
	case 0x6: v->pel_mask = val; break;
	case 0x7: v->dac_read = 3u * val; break;
	case 0x8: v->dac_write = 3u * val; break;
	case 0x9:
		v->dac_write %= DAC_LEN;
		v->dac[v->dac_write++] = val & 0x3f;
		break;
	case 0xe: v->gfx_index = val; break;
	case 0xf: reg_set(v->gfx, GFX_REGS, v->gfx_index, val); break;
	default: break;
	}
}

static uint32_t crtc_read(void *dev, uint64_t off, unsigned width)
{
	struct vga *v = dev;

	(void)width;
	return off ? reg_get(v->crtc, CRTC_REGS, v->crtc_index) : v->crtc_index;
}

static void crtc_write(void *dev, uint64_t off, unsigned width, uint32_t val)
{
	struct vga *v = dev;

	(void)width;
	if (off)
		reg_set(v->crtc, CRTC_REGS, v->crtc_index, (uint8_t)val);
	else
		v->crtc_index = (uint8_t)val;
}

/* "Input status register 1": whoever waits for retrace, or for its end, need not wait long. */
static uint32_t status_read(void *dev, uint64_t off, unsigned width)
{
	struct vga *v = dev;

	(void)off, (void)width;
	v->attr_data = false;
	v->status ^= STATUS_RETRACE;
	return v->status;
}

static void status_write(void *dev, uint64_t off, unsigned width, uint32_t val)
{
	(void)dev, (void)off, (void)width, (void)val; /* feature control: nothing here */
}

static unsigned crtc_pair(const struct vga *v, unsigned high)
{
	return (unsigned)v->crtc[high] << 8 | v->crtc[high + 1];
}

struct vga_text vga_text(const struct vga *v)
{
	return (struct vga_text){
		.start = crtc_pair(v, CRTC_START_HIGH),
		.cursor = crtc_pair(v, CRTC_CURSOR_HIGH),
		.cursor_on = !(v->crtc[CRTC_CURSOR_START] & CURSOR_OFF),
		.blink = v->attr[ATTR_MODE] & ATTR_BLINK,
	};
}

struct vga *vga_new(struct bus *pio)
{
	/* Mode 3 as firmware sets it. */
	static const uint8_t crtc[CRTC_REGS] = { 0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf,
						 0x1f, 0x00, 0x4f, 0x0d, 0x0e, 0x00, 0x00,
						 0x00, 0x00, 0x9c, 0x8e, 0x8f, 0x28, 0x1f,
						 0x96, 0xb9, 0xa3, 0xff };
	static const uint8_t seq[SEQ_REGS] = { 0x03, 0x00, 0x03, 0x00, 0x02 };
	struct vga *v = calloc(1, sizeof(*v));

	if (!v)
		return NULL;
	memcpy(v->crtc, crtc, sizeof(crtc));
	memcpy(v->seq, seq, sizeof(seq));
	v->gfx[5] = 0x10;
	v->gfx[6] = 0x0e;
	v->attr[ATTR_MODE] = 0x0c;
	v->misc = 0x67;
	v->pel_mask = 0xff;
	if (bus_add(pio, &(struct bus_range){ .name = "vga",
					      .base = VGA_BASE,
					      .len = VGA_LEN,
					      .dev = v,
					      .read = vga_read,
					      .write = vga_write,
					      .split = 1 }) ||
	    bus_add(pio, &(struct bus_range){ .name = "crtc",
					      .base = CRTC_BASE,
					      .len = 2,
					      .dev = v,
					      .read = crtc_read,
					      .write = crtc_write,
					      .split = 1 }) ||
	    bus_add(pio, &(struct bus_range){ .name = "vga-status",
					      .base = VGA_STATUS,
					      .len = 1,
					      .dev = v,
					      .read = status_read,
					      .write = status_write,
					      .split = 1 })) {
		free(v);
		return NULL;
	}
	return v;
}

void vga_free(struct vga *v)
{
	free(v);
}
