/* SPDX-License-Identifier: MIT */
/*
 * i8042 keyboard controller with a keyboard, and port 0x92.  Kernels ask for its status, self-test,
 * A20, and the reset pulse at start; with --display=text somebody also types (keyboard.c).
 * Source: IBM PC/AT Technical Reference, "Keyboard Controller"; IBM Personal System/2 Hardware
 * Interface Technical Reference, "Keyboard and Auxiliary Device Controller" and "Keyboards";
 * port 0x92: "System Control Port A" of the latter.
 */
#include <stdlib.h>

#include "vmm/dev/devices.h"
#include "vmm/dev/keyboard.h"

#define I8042_DATA    0x60
#define I8042_STATUS  0x64
#define SYSTEM_PORT_A 0x92

#define STATUS_OBF     0x01 /* a byte waits at port 0x60 */
#define STATUS_SYS     0x04 /* self-test passed */
#define STATUS_COMMAND 0x08 /* the last write went to 0x64 */
#define STATUS_UNLOCK  0x10 /* the key lock is open */
#define STATUS_AUX_OBF 0x20

#define CMDBYTE_KBD_INT     0x01
#define CMDBYTE_SYS         0x04
#define CMDBYTE_KBD_DISABLE 0x10
#define CMDBYTE_AUX_DISABLE 0x20
#define CMDBYTE_TRANSLATE   0x40

#define OUTPUT_RESET 0x01 /* active low */
#define OUTPUT_A20   0x02
#define OUTPUT_OBF   0x10
#define PORT_A_RESET 0x01
#define PORT_A_A20   0x02

#define KBD_ACK    0xfa
#define KBD_RESEND 0xfe

#define QUEUE_LEN 16

struct i8042 {
	struct irq_line irq1;
	void (*reset)(void *arg);
	void *arg;
	uint8_t queue[QUEUE_LEN]; /* keyboard and controller to host */
	bool queue_aux[QUEUE_LEN];
	unsigned head, count;
	uint8_t last; /* what 0x60 gives when nothing waits; also for resend */
	uint8_t status, cmdbyte, port_a;
	bool a20;
	uint8_t ctrl_pending; /* controller command that waits for its data byte; 0: none */
	uint8_t kbd_pending;  /* keyboard command likewise */
	uint8_t scan_set;
	bool scanning; /* the keyboard sends what is typed */
	bool watched;  /* the guest has looked for a key */
	bool wanted;   /* what on_room() was last told */
	void (*room)(void *arg);
	void *room_arg;
};

static void i8042_update_irq(struct i8042 *k)
{
	irq_set(&k->irq1, k->count && !k->queue_aux[k->head] && (k->cmdbyte & CMDBYTE_KBD_INT));
}

static void put(struct i8042 *k, uint8_t byte, bool aux)
{
	unsigned tail = (k->head + k->count) % QUEUE_LEN;

	if (k->count == QUEUE_LEN)
		return; /* a guest that sends commands and never reads loses answers */
	k->queue[tail] = byte;
	k->queue_aux[tail] = aux;
	k->count++;
}

static void put_kbd(struct i8042 *k, uint8_t byte)
{
	put(k, byte, false);
}

/* The data byte of a keyboard command. */
static void kbd_argument(struct i8042 *k, uint8_t val)
{
	uint8_t command = k->kbd_pending;

	k->kbd_pending = 0;
	if (command == 0xf0 && val > 3) {
		put_kbd(k, KBD_RESEND);
		return;
	}
	put_kbd(k, KBD_ACK);
	if (command != 0xf0)
		return; /* 0xed LEDs, 0xf3 typematic rate: nobody sees them */
	if (val == 0)
		put_kbd(k, k->scan_set);
	else
		k->scan_set = val;
}

static void kbd_command(struct i8042 *k, uint8_t val)
{
	if (k->kbd_pending && val < 0xed) {
		kbd_argument(k, val);
		return;
	}
	k->kbd_pending = 0;
	switch (val) {
	case 0xed: /* set LEDs */
	case 0xf0: /* scan code set */
	case 0xf3: /* typematic rate */
		k->kbd_pending = val;
		put_kbd(k, KBD_ACK);
		break;
	case 0xee: put_kbd(k, 0xee); break; /* echo */
	case 0xf2:                          /* identify: MF2, its second byte as translated */
		put_kbd(k, KBD_ACK);
		put_kbd(k, 0xab);
		put_kbd(k, k->cmdbyte & CMDBYTE_TRANSLATE ? 0x41 : 0x83);
		break;
	case 0xf4: /* enable scanning */
	case 0xf5: /* default, disable */
	case 0xf6: /* default */
		k->scanning = val != 0xf5;
		put_kbd(k, KBD_ACK);
		break;
	case 0xf7: /* 0xf7-0xfd: key types of scan code set 3 */
	case 0xf8:
	case 0xf9:
	case 0xfa: put_kbd(k, KBD_ACK); break;
	case 0xfe: put_kbd(k, k->last); break;
	case 0xff: /* reset: acknowledge, then the basic assurance test passes */
		k->scan_set = 2;
		k->scanning = true;
		put_kbd(k, KBD_ACK);
		put_kbd(k, 0xaa);
		break;
	default: put_kbd(k, KBD_RESEND); break;
	}
}

bool i8042_wants(const struct i8042 *k)
{
	return k->watched && k->scanning && !(k->cmdbyte & CMDBYTE_KBD_DISABLE) &&
	       QUEUE_LEN - k->count >= KEYBOARD_KEY_MAX;
}

/* Tell who types, once, that there is room where there was none. */
static void tell_room(struct i8042 *k)
{
	bool wanted = k->wanted;

	k->wanted = i8042_wants(k);
	if (!wanted && k->wanted && k->room)
		k->room(k->room_arg);
}

void i8042_on_room(struct i8042 *k, void (*room)(void *arg), void *arg)
{
	k->room = room;
	k->room_arg = arg;
}

size_t i8042_type(struct i8042 *k, const uint8_t *buf, size_t len)
{
	/* The controller translates set 2 to set 1; a keyboard told to use set 1 sends that. */
	unsigned set = k->scan_set == 1 || (k->cmdbyte & CMDBYTE_TRANSLATE) ? 1 : 2;
	uint8_t codes[KEYBOARD_KEY_MAX];
	size_t done = 0;

	while (done < len && i8042_wants(k)) {
		size_t used, n = keyboard_encode(buf + done, len - done, set, codes, &used);

		for (size_t i = 0; i < n; i++)
			put_kbd(k, codes[i]);
		done += used;
	}
	k->wanted = i8042_wants(k);
	i8042_update_irq(k);
	return done;
}

static void do_reset(struct i8042 *k)
{
	if (k->reset)
		k->reset(k->arg);
}

static uint8_t output_port(const struct i8042 *k)
{
	return (uint8_t)(0xc0 | OUTPUT_RESET | (k->a20 ? OUTPUT_A20 : 0) |
			 (k->count ? OUTPUT_OBF : 0));
}

/* A byte to port 0x60: the data of a controller command, or the keyboard's. */
static void i8042_write_data(struct i8042 *k, uint8_t val)
{
	uint8_t command = k->ctrl_pending;

	k->status &= (uint8_t)~STATUS_COMMAND;
	k->ctrl_pending = 0;
	switch (command) {
	case 0x60:
		k->cmdbyte = val;
		k->status = (k->status & (uint8_t)~STATUS_SYS) | (val & CMDBYTE_SYS);
		break;
	case 0xd1:
		k->a20 = val & OUTPUT_A20;
		if (!(val & OUTPUT_RESET))
			do_reset(k);
		break;
	case 0xd2: put_kbd(k, val); break;
	case 0xd3: put(k, val, true); break;
	case 0xd4: break; /* to the mouse that is not there: no answer */
	default:
		k->cmdbyte &= (uint8_t)~CMDBYTE_KBD_DISABLE; /* talking to it enables it */
		kbd_command(k, val);
		break;
	}
}

static void i8042_write_command(struct i8042 *k, uint8_t val)
{
	k->status |= STATUS_COMMAND;
	k->ctrl_pending = 0;
	switch (val) {
	case 0x20: put_kbd(k, k->cmdbyte); break;
	case 0xa7: k->cmdbyte |= CMDBYTE_AUX_DISABLE; break;
	case 0xa8: k->cmdbyte &= (uint8_t)~CMDBYTE_AUX_DISABLE; break;
	case 0xa9: put_kbd(k, 0x02); break; /* test of the mouse port: clock line stuck high */
	case 0xaa:
		k->status |= STATUS_SYS;
		k->cmdbyte |= CMDBYTE_SYS;
		put_kbd(k, 0x55);
		break;
	case 0xab: put_kbd(k, 0x00); break; /* keyboard port: no error */
	case 0xad: k->cmdbyte |= CMDBYTE_KBD_DISABLE; break;
	case 0xae: k->cmdbyte &= (uint8_t)~CMDBYTE_KBD_DISABLE; break;
	case 0xc0: put_kbd(k, 0x80); break; /* input port: keyboard not inhibited */
	case 0xd0: put_kbd(k, output_port(k)); break;
	case 0x60:
	case 0xd1:
	case 0xd2:
	case 0xd3:
	case 0xd4: k->ctrl_pending = val; break;
	case 0xdd: k->a20 = false; break; /* HP Vectra's, which kernels try too */
	case 0xdf: k->a20 = true; break;
	default:
		/* 0xf0-0xff pulse the output lines whose bit is 0; bit 0 is the CPU's reset. */
		if (val >= 0xf0 && !(val & OUTPUT_RESET))
			do_reset(k);
		break;
	}
}

static void i8042_write(void *dev, uint64_t off, unsigned width, uint32_t val)
{
	struct i8042 *k = dev;

	(void)off, (void)width;
	i8042_write_data(k, (uint8_t)val);
	k->watched |= k->cmdbyte & CMDBYTE_KBD_INT;
	i8042_update_irq(k);
	tell_room(k);
}

static void i8042_command(void *dev, uint64_t off, unsigned width, uint32_t val)
{
	struct i8042 *k = dev;

	(void)off, (void)width;
	i8042_write_command(k, (uint8_t)val);
	i8042_update_irq(k);
	tell_room(k);
}

static uint32_t i8042_read(void *dev, uint64_t off, unsigned width)
{
	struct i8042 *k = dev;

	(void)off, (void)width;
	if (k->count) {
		k->last = k->queue[k->head];
		k->head = (k->head + 1) % QUEUE_LEN;
		k->count--;
		/* The next byte is a new edge. */
		irq_set(&k->irq1, false);
		i8042_update_irq(k);
	}
	k->watched = true;
	tell_room(k);
	return k->last;
}

static uint32_t i8042_status(void *dev, uint64_t off, unsigned width)
{
	struct i8042 *k = dev;
	uint8_t val = k->status | STATUS_UNLOCK;

	(void)off, (void)width;
	k->watched = true;
	tell_room(k);
	if (k->count)
		val |= STATUS_OBF | (k->queue_aux[k->head] ? STATUS_AUX_OBF : 0);
	return val; /* the input buffer is never full: commands take no time */
}

static uint32_t port_a_read(void *dev, uint64_t off, unsigned width)
{
	const struct i8042 *k = dev;

	(void)off, (void)width;
	return (k->port_a & (uint8_t)~PORT_A_A20) | (k->a20 ? PORT_A_A20 : 0);
}

static void port_a_write(void *dev, uint64_t off, unsigned width, uint32_t val)
{
	struct i8042 *k = dev;
	bool was = k->port_a & PORT_A_RESET;

	(void)off, (void)width;
	k->port_a = (uint8_t)val & (PORT_A_RESET | PORT_A_A20);
	k->a20 = val & PORT_A_A20;
	if ((val & PORT_A_RESET) && !was)
		do_reset(k);
}

struct i8042 *i8042_new(struct bus *pio, struct irq_line irq1, void (*reset)(void *arg), void *arg)
{
	struct i8042 *k = calloc(1, sizeof(*k));

	if (!k)
		return NULL;
	k->irq1 = irq1;
	k->reset = reset;
	k->arg = arg;
	/* As firmware leaves it: tested, translating, interrupts off until a driver wants them. */
	k->status = STATUS_SYS;
	k->cmdbyte = CMDBYTE_SYS | CMDBYTE_TRANSLATE | CMDBYTE_AUX_DISABLE;
	k->a20 = true;
	k->scan_set = 2;
	k->scanning = true;
	if (bus_add(pio, &(struct bus_range){ .name = "i8042-data",
					      .base = I8042_DATA,
					      .len = 1,
					      .dev = k,
					      .read = i8042_read,
					      .write = i8042_write,
					      .split = 1 }) ||
	    bus_add(pio, &(struct bus_range){ .name = "i8042-command",
					      .base = I8042_STATUS,
					      .len = 1,
					      .dev = k,
					      .read = i8042_status,
					      .write = i8042_command,
					      .split = 1 }) ||
	    bus_add(pio, &(struct bus_range){ .name = "port92",
					      .base = SYSTEM_PORT_A,
					      .len = 1,
					      .dev = k,
					      .read = port_a_read,
					      .write = port_a_write,
					      .split = 1 })) {
		free(k);
		return NULL;
	}
	return k;
}

void i8042_free(struct i8042 *k)
{
	free(k);
}
