/* SPDX-License-Identifier: MIT */
/*
 * The kvm engine, on the KVM of this machine.  Where there is none, or none for this user, the same
 * tests see that it is refused with its sentence; tests/kvm_host.c has the refusals one by one.
 */
#include <fcntl.h>
#include <json-c/json.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/child.h"
#include "tests/kvm_here.h"
#include "tests/raw_guest.h"
#include "vmm/dev/assign.h"
#include "vmm/kvm/priv.h"
#include "vmm/machine.h"

TestSuite(kvm, .timeout = 150);

/* ---- guests of a few instructions ---- */

/* False: there is no KVM, and it was said. */
static bool kg_load(struct cg *g, const uint8_t *code, const uint8_t *end)
{
	cg_prepare(g, &kvm_engine, code, end);
	if (kvm_here()) {
		cr_assert_eq(kvm_engine.create(&g->v, &g->v.engine), 0, "%s", g->vm.death);
		return true;
	}
	cr_assert_lt(kvm_engine.create(&g->v, &g->v.engine), 0);
	cr_expect_eq(atomic_load(&g->vm.end), VM_HOST_FAIL);
	cr_expect_not_null(strstr(g->vm.death, "--engine world"), "%s", g->vm.death);
	cg_free(g);
	return false;
}

static bool kg_run(struct cg *g, const uint8_t *code, const uint8_t *end)
{
	if (!kg_load(g, code, end))
		return false;
	vcpu_run(&g->v);
	return true;
}

static uint64_t kg_count(const struct cg *g, unsigned cause)
{
	return account_count(g->v.account, cause);
}

GUEST(kvm_regs, "mov $0x11111111,%ebx\n mov $0x22222222,%esi\n mov $0x33333333,%ebp\n"
		"mov $7,%ecx\n 1: add %ecx,%ebx\n loop 1b\n mov %cr0,%edx\n" DONE);

Test(kvm, registers_come_back)
{
	static struct cg g;

	if (!kg_run(&g, kvm_regs, kvm_regs_end))
		return;
	cr_expect_eq(atomic_load(&g.vm.end), VM_EXITED, "%s", g.vm.death);
	cr_expect_eq(REG(&g, EBX), 0x11111111 + 28);
	cr_expect_eq(REG(&g, ESI), 0x22222222);
	cr_expect_eq(REG(&g, EBP), 0x33333333);
	cr_expect_eq(REG(&g, ECX), 0);
	cr_expect_eq(REG(&g, ESP), 0x200000);
	cr_expect_eq(REG(&g, EDX), CR0_PE | CR0_ET);
	cr_expect_eq(g.v.regs.seg[SEG_CS].limit, UINT32_MAX);
	cr_expect_eq(g.v.sh.cpl, 0);
	cr_expect_eq(kg_count(&g, CAUSE_INSN(OP_OUT)), 1);
	cg_free(&g);
}

GUEST(kvm_quiet, "mov $0x1234,%esi\n" DONE);

/* No IDT: an NMI that comes would be the end. */
Test(kvm, an_nmi_that_waits_does_not_outlive_a_reset)
{
	const struct event nmi = { .vector = VEC_NMI };
	static struct cg g;

	if (!kg_load(&g, kvm_quiet, kvm_quiet_end))
		return;
	cr_assert_eq(kvm_engine.takes(g.v.engine) & ENGINE_TAKES_NMI, ENGINE_TAKES_NMI);
	cr_assert_eq(kvm_engine.inject(g.v.engine, &nmi), 0, "%s", g.vm.death);
	kvm_engine.load(g.v.engine);
	vcpu_run(&g.v);
	cr_expect_eq(atomic_load(&g.vm.end), VM_EXITED, "%s", g.vm.death);
	cr_expect_eq(REG(&g, ESI), 0x1234);
	cg_free(&g);
}

/* A device: reads give the offset in each byte, writes are remembered. */
struct pad {
	uint64_t off[16];
	unsigned width[16];
	uint32_t val[16];
	unsigned writes;
};

static uint32_t pad_read(void *dev, uint64_t off, unsigned width)
{
	(void)dev;
	(void)width;
	return (uint32_t)(off * 0x01010101u + 0x03020100u);
}

static void pad_write(void *dev, uint64_t off, unsigned width, uint32_t val)
{
	struct pad *p = dev;

	p->off[p->writes % 16] = off;
	p->width[p->writes % 16] = width;
	p->val[p->writes++ % 16] = val;
}

static void pad_add(struct pad *p, struct bus *bus, uint64_t base)
{
	struct bus_range r = { .name = "pad",
			       .base = base,
			       .len = 0x100,
			       .dev = p,
			       .read = pad_read,
			       .write = pad_write };

	cr_assert_eq(bus_add(bus, &r), 0);
}

GUEST(kvm_mmio, "mov 0xd0000010,%eax\n movzbl 0xd0000021,%ebx\n mov 0xd0000032,%esi\n"
		"movl $0x11223344,0xd0000040\n movw $0x5566,0xd0000052\n movb $0x77,0xd0000063\n"
		"movl $0x8899aabb,0xd0000076\n mov 0xe0000000,%edi\n" DONE);

/* The bus has cycles of 1, 2 and 4 aligned bytes, whoever executes. */
Test(kvm, mmio_reaches_the_bus_in_natural_pieces)
{
	static const struct {
		uint64_t off;
		unsigned width;
		uint32_t val;
	} want[] = { { 0x40, 4, 0x11223344 },
		     { 0x52, 2, 0x5566 },
		     { 0x63, 1, 0x77 },
		     { 0x76, 2, 0xaabb },
		     { 0x78, 2, 0x8899 } };
	static struct cg g;
	static struct pad pad;

	if (!kg_load(&g, kvm_mmio, kvm_mmio_end))
		return;
	pad_add(&pad, &g.vm.mmio, 0xd0000000u);
	vcpu_run(&g.v);
	cr_assert_eq(atomic_load(&g.vm.end), VM_EXITED, "%s", g.vm.death);
	cr_expect_eq(REG(&g, EAX), 0x13121110);
	cr_expect_eq(REG(&g, EBX), 0x21);
	cr_expect_eq(REG(&g, ESI), 0x35343332, "%#x", REG(&g, ESI));
	cr_expect_eq(REG(&g, EDI), UINT32_MAX, "nobody there: all ones");
	cr_assert_eq(pad.writes, sizeof(want) / sizeof(want[0]));
	for (unsigned i = 0; i < pad.writes; i++)
		cr_expect(pad.off[i] == want[i].off && pad.width[i] == want[i].width &&
				  pad.val[i] == want[i].val,
			  "write %u: %u bytes %#x at %#llx", i, pad.width[i], pad.val[i],
			  (unsigned long long)pad.off[i]);
	cr_expect_eq(kg_count(&g, CAUSE_MMIO), 8);
	cr_expect_eq(g.vm.mmio.unclaimed_reads, 1);
	cg_free(&g);
}

GUEST(kvm_ports, "mov $0x300,%edx\n mov $0x200,%ecx\n in %dx,%eax\n mov %eax,%ebx\n"
		 "mov $0x310,%edx\n in %dx,%al\n mov %eax,%ebp\n mov $0xabcd,%eax\n out %ax,%dx\n"
		 "mov $3,%ecx\n mov $0x110000,%edi\n mov $0x320,%edx\n rep insl\n"
		 "mov $3,%ecx\n mov $" A("9f") ",%esi\n rep outsb\n" DONE "9: .byte 1,2,3\n");

Test(kvm, port_io_with_all_widths_and_strings)
{
	static struct cg g;
	static struct pad pad;

	if (!kg_load(&g, kvm_ports, kvm_ports_end))
		return;
	pad_add(&pad, &g.vm.pio, 0x300);
	vcpu_run(&g.v);
	cr_assert_eq(atomic_load(&g.vm.end), VM_EXITED, "%s", g.vm.death);
	cr_expect_eq(REG(&g, EBX), 0x03020100);
	cr_expect_eq(REG(&g, EBP), 0x03020110, "AL only: %#x", REG(&g, EBP));
	cr_expect_eq(REG(&g, ECX), 0);
	cr_expect_eq(REG(&g, EDI), 0x11000c);
	for (int i = 0; i < 3; i++)
		cr_expect_eq(((uint32_t *)(g.vm.ram + 0x110000))[i], 0x23222120);
	cr_assert_eq(pad.writes, 4);
	cr_expect(pad.off[0] == 0x10 && pad.width[0] == 2 && pad.val[0] == 0xabcd);
	for (unsigned i = 1; i < 4; i++)
		cr_expect(pad.off[i] == 0x20 && pad.width[i] == 1 && pad.val[i] == i);
	cr_expect_eq(kg_count(&g, CAUSE_INSN(OP_IN)), 2);
	cr_expect_geq(kg_count(&g, CAUSE_INSN(OP_INS)), 1);
	cg_free(&g);
}

/* The read is what ends the VM: its value must still arrive. */
static uint32_t last_read(void *dev, uint64_t off, unsigned width)
{
	(void)off;
	(void)width;
	vm_end(dev, VM_EXITED, 0);
	return 0x5a;
}

GUEST(kvm_last, "xor %eax,%eax\n in $0xf5,%al\n jmp .\n");

Test(kvm, an_instruction_that_ends_the_vm_is_completed)
{
	struct bus_range r = {
		.name = "last", .base = 0xf5, .len = 1, .read = last_read, .write = cg_done
	};
	static struct cg g;

	if (!kg_load(&g, kvm_last, kvm_last_end))
		return;
	r.dev = &g.vm;
	cr_assert_eq(bus_add(&g.vm.pio, &r), 0);
	vcpu_run(&g.v);
	cr_expect_eq(REG(&g, EAX), 0x5a);
	cr_expect_eq(g.v.regs.eip, CG_CODE + 4, "%#x", g.v.regs.eip);
	cg_free(&g);
}

GUEST(kvm_msr,
      "mov $0x1b,%ecx\n rdmsr\n mov %eax,%ebx\n mov $0x2ff,%ecx\n mov $0xc06,%eax\n xor %edx,%edx\n"
      "wrmsr\n xor %eax,%eax\n rdmsr\n mov %eax,%esi\n mov $0x8b,%ecx\n rdmsr\n mov %edx,%edi\n"
      "mov $0x175,%ecx\n mov $0x1234,%eax\n wrmsr\n xor %eax,%eax\n rdmsr\n mov %eax,%ebp\n" DONE);

/* vmm/emu/msr.c answers, but for what the CPU itself reads. */
Test(kvm, msrs_are_those_of_every_engine)
{
	static struct cg g;

	if (!kg_run(&g, kvm_msr, kvm_msr_end))
		return;
	cr_assert_eq(atomic_load(&g.vm.end), VM_EXITED, "%s", g.vm.death);
	cr_expect_eq(REG(&g, EBX), 0xfee00900);
	cr_expect_eq(REG(&g, ESI), 0xc06);
	cr_expect_eq(REG(&g, EDI), 1);
	cr_expect_eq(REG(&g, EBP), 0x1234, "SYSENTER_ESP is the CPU's");
	cr_expect_eq(g.v.sh.mtrr_def_type, 0xc06);
	cr_expect_eq(kg_count(&g, CAUSE_INSN(OP_RDMSR)), 3);
	cr_expect_eq(kg_count(&g, CAUSE_INSN(OP_WRMSR)), 1);
	cg_free(&g);
}

GUEST(kvm_badmsr, "mov $0x12345,%ecx\n rdmsr\n" DONE);
GUEST(kvm_nowhere, "mov $0x40000000,%eax\n jmp *%eax\n");

/* No IDT: a #GP that cannot be delivered, and so the end. */
Test(kvm, an_unknown_msr_is_a_fault)
{
	static struct cg g;

	if (!kg_run(&g, kvm_badmsr, kvm_badmsr_end))
		return;
	cr_expect_eq(atomic_load(&g.vm.end), VM_KILLED);
	cr_expect_not_null(strstr(g.vm.death, "triple fault"), "%s", g.vm.death);
	cg_free(&g);
}

Test(kvm, executing_where_there_is_no_ram_ends_the_guest)
{
	static struct cg g;

	if (!kg_run(&g, kvm_nowhere, kvm_nowhere_end))
		return;
	cr_expect_eq(atomic_load(&g.vm.end), VM_KILLED, "%s", g.vm.death);
	cr_expect_not_null(strstr(g.vm.death, "jumped to 0x40000000, where there is no RAM"), "%s",
			   g.vm.death);
	cg_free(&g);
}

GUEST(kvm_spin, "1: incl 0x280000\n jmp 1b\n");
GUEST(kvm_halt, "movl $1,0x280000\n hlt\n jmp .\n");

/* Once the guest has shown that it runs, stop it. */
static void *stopper(void *arg)
{
	struct cg *g = arg;
	volatile uint32_t *runs = (uint32_t *)(g->vm.ram + 0x280000);

	while (!*runs && atomic_load(&g->vm.end) == VM_RUNNING)
		usleep(1000);
	vm_end(&g->vm, VM_STOPPED, 0);
	return NULL;
}

static void stop_while_running(const uint8_t *code, const uint8_t *end)
{
	static struct cg g;
	pthread_t thread;

	if (!kg_load(&g, code, end))
		return;
	pthread_create(&thread, NULL, stopper, &g);
	cr_expect_eq(vcpu_run(&g.v), 0);
	pthread_join(thread, NULL);
	cr_expect_eq(atomic_load(&g.vm.end), VM_STOPPED, "%s", g.vm.death);
	cr_expect_neq(*(uint32_t *)(g.vm.ram + 0x280000), 0);
	cg_free(&g);
}

Test(kvm, a_kick_ends_a_run)
{
	for (int i = 0; i < 10; i++)
		stop_while_running(kvm_spin, kvm_spin_end);
}

Test(kvm, a_kick_wakes_a_halted_guest)
{
	stop_while_running(kvm_halt, kvm_halt_end);
}

/* ---- with the board ---- */

/* Vector 0x40 counts at 0x280004; 0x280000 says that the guest is ready for it. */
GUEST(kvm_bell,
      "lgdtl " A("7f") "\n ljmp $8,$" A(
	      "1f") "\n 1: mov $16,%eax\n mov %eax,%ds\n mov %eax,%ss\n"
		    "mov $" A(
			    "6f") ",%eax\n mov %eax,%ebx\n and $0xffff,%eax\n or $0x80000,%eax\n"
				  "mov %eax,0x110200\n and $0xffff0000,%ebx\n or $0x8e00,%ebx\n "
				  "mov %ebx,0x110204\n"
				  "lidtl " A(
					  "8f") "\n movl $0x1ff,0xfee000f0\n movl $1,0x280000\n"
						"2: sti\n hlt\n cli\n cmpl $3,0x280004\n jb 2b\n "
						"mov 0x280004,%esi\n" DONE
						"6: incl 0x280004\n movl $0,0xfee000b0\n iret\n"
						"7: .word 23\n .long " A(
							"9f") "\n 8: .word 0x7ff\n .long 0x110000\n"
							      ".balign 8\n 9: .quad 0, "
							      "0x00cf9b000000ffff, "
							      "0x00cf93000000ffff\n");

struct bell {
	struct cg g;
	int fd;
};

/* Ring once for each interrupt that the guest has counted. */
static void *bell_ring(void *arg)
{
	struct bell *b = arg;
	volatile uint32_t *word = (uint32_t *)(b->g.vm.ram + 0x280000);
	uint64_t one = 1;

	while (!word[0] && atomic_load(&b->g.vm.end) == VM_RUNNING)
		usleep(1000);
	for (uint32_t i = 0; i < 3; i++) {
		cr_assert_eq(write(b->fd, &one, sizeof(one)), (ssize_t)sizeof(one));
		while (word[1] == i && atomic_load(&b->g.vm.end) == VM_RUNNING)
			usleep(1000);
	}
	return NULL;
}

static void assigned_device(bool kernel)
{
	static struct bell b;
	struct assign_config dev = { .vector = 0x40, .vcpu = 0, .doorbell = -1 };
	struct machine_config cfg = { .console_in = -1,
				      .console_out = -1,
				      .debugcon_out = -1,
				      .assign = &dev,
				      .assigns = 1 };
	pthread_t thread;

	cg_prepare(&b.g, &kvm_engine, kvm_bell, kvm_bell_end);
	bus_init(&b.g.vm.pio, "pio"); /* the board has the exit port itself */
	b.fd = dev.eventfd = eventfd(0, EFD_CLOEXEC);
	b.g.vm.kernel_irqchip = kernel;
	cr_assert_eq(machine_create(&b.g.vm, &cfg), 0, "%s", b.g.vm.death);
	if (!kvm_here()) {
		cr_expect_lt(kvm_engine.create(&b.g.v, &b.g.v.engine), 0);
	} else {
		cr_assert_eq(kvm_engine.create(&b.g.v, &b.g.v.engine), 0, "%s", b.g.vm.death);
		cr_assert_eq(machine_start(&b.g.vm), 0);
		pthread_create(&thread, NULL, bell_ring, &b);
		vcpu_run(&b.g.v);
		pthread_join(thread, NULL);
		machine_stop(&b.g.vm);
		cr_expect_eq(atomic_load(&b.g.vm.end), VM_EXITED, "%s", b.g.vm.death);
		cr_expect_eq(REG(&b.g, ESI), 3);
		/* The account of KVM's own controllers is KVM's. */
		cr_expect_eq(kg_count(&b.g, CAUSE_INSN(OP_HLT)) > 0, !kernel);
		cr_expect_eq(kg_count(&b.g, CAUSE_MMIO) > 0, !kernel);
	}
	shadow_free(&b.g.v);
	machine_destroy(&b.g.vm);
	account_free(b.g.v.account);
	vm_destroy(&b.g.vm);
	close(b.fd);
}

GUEST(kvm_x2apic_off, "mov $0x803,%ecx\n rdmsr\n" DONE);
GUEST(kvm_x2apic_back, "mov $0x1b,%ecx\n rdmsr\n or $0x400,%eax\n wrmsr\n and $~0x400,%eax\n"
		       "wrmsr\n" DONE);

/* What KVM's local APIC refuses comes here, where there is none.  No IDT: the fault is the end. */
static void refused_by_kernel_lapic(const uint8_t *code, const uint8_t *end)
{
	struct machine_config cfg = { .console_in = -1, .console_out = -1, .debugcon_out = -1 };
	static struct cg g;

	cg_prepare(&g, &kvm_engine, code, end);
	bus_init(&g.vm.pio, "pio");
	g.vm.kernel_irqchip = true;
	cr_assert_eq(machine_create(&g.vm, &cfg), 0, "%s", g.vm.death);
	if (kvm_here()) {
		cr_assert_eq(kvm_engine.create(&g.v, &g.v.engine), 0, "%s", g.vm.death);
		cr_assert_eq(machine_start(&g.vm), 0);
		vcpu_run(&g.v);
		machine_stop(&g.vm);
		cr_expect_eq(atomic_load(&g.vm.end), VM_KILLED, "%s", g.vm.death);
		cr_expect_not_null(strstr(g.vm.death, "triple fault"), "%s", g.vm.death);
	} else {
		cr_expect_lt(kvm_engine.create(&g.v, &g.v.engine), 0);
	}
	shadow_free(&g.v);
	machine_destroy(&g.vm);
	account_free(g.v.account);
	vm_destroy(&g.vm);
}

Test(kvm, an_x2apic_register_in_xapic_mode_is_a_fault)
{
	refused_by_kernel_lapic(kvm_x2apic_off, kvm_x2apic_off_end);
}

Test(kvm, no_way_from_x2apic_back_to_xapic)
{
	refused_by_kernel_lapic(kvm_x2apic_back, kvm_x2apic_back_end);
}

Test(kvm, a_doorbell_arrives_at_our_local_apic)
{
	assigned_device(false);
}

Test(kvm, a_doorbell_arrives_at_the_kernels_local_apic)
{
	assigned_device(true);
}

/* ---- whole guests ---- */

/* `ringside run` with these arguments. */
static void run(struct child *c, const char *const *args, const char *input)
{
	*c = (struct child){ .argv = { child_ringside(), "run", "--timeout", "100" },
			     .input = input,
			     .seconds = 120 };
	for (unsigned i = 0; args[i]; i++)
		c->argv[4 + i] = args[i];
	child_run(c);
}

/* True if it ran; where there is no KVM it must have been refused, and nothing else. */
static bool ran(const struct child *c)
{
	if (kvm_here())
		return true;
	cr_expect_eq(c->status, 4, "status %d: %s", c->status, c->err);
	cr_expect_eq(strncmp(c->err, "ringside: host: ", 16), 0, "%s", c->err);
	cr_expect_not_null(strstr(c->err, "--engine world"), "%s", c->err);
	cr_expect_eq(strchr(c->err, '\n') + 1 - c->err, (long)strlen(c->err), "%s", c->err);
	cr_expect_str_eq(c->out, "");
	return false;
}

/* Popek and Goldberg's equivalence, between engines. */
static void expect_same(const char *image, const char *append, const char *module,
			const char *input)
{
	const char *args[] = { "--engine", "world", "--smp", "4",  child_guest(image),
			       "-append",  append,  "-m",    "64", module ? "--module" : NULL,
			       module,     NULL };
	static struct child world, kvm;

	run(&world, args, input);
	args[1] = "kvm";
	run(&kvm, args, input);
	if (!ran(&kvm))
		return;
	cr_expect_eq(kvm.status, world.status, "%s: status %d, not %d\n%s%s", append, kvm.status,
		     world.status, kvm.out, kvm.err);
	cr_expect_str_eq(kvm.out, world.out, "%s\n--- kvm:\n%s\n--- world:\n%s", append, kvm.out,
			 world.out);
}

Test(kvm, minios_prints_the_same)
{
	expect_same("minios", "demo", NULL, NULL);
	expect_same("minios", "echo", NULL, "first\nsecond\nquit\n");
}

/* The lists without a case in which KVM's own emulator, as kvm_pvm uses it, goes its own way. */
Test(kvm, conform_prints_the_same)
{
	expect_same("conform", "flags segstore softint", NULL, NULL);
}

/* Those in which nothing is late by the thousand instructions of kvm_pvm. */
Test(kvm, apic_prints_the_same)
{
	expect_same("apic", "registers eoi nmi pic picmodes uart base x2apic", NULL, NULL);
}

Test(kvm, four_processors_start)
{
	static const char *const modes[] = { "user", "kernel" };
	static struct child c;

	for (int i = 0; i < 2; i++) {
		const char *args[] = { "--engine", "kvm", "--irqchip",        modes[i],
				       "--smp",    "4",   child_guest("smp"), NULL };

		run(&c, args, NULL);
		if (ran(&c))
			cr_expect_eq(c.status, 33, "%s: %s%s", modes[i], c.out, c.err);
	}
}

/*
 * With KVM's controllers every check passes on hardware; kvm_pvm looks for interrupts only every
 * thousand instructions, and here nobody steps it to the place (see engine.c).
 */
Test(kvm, minios_with_the_kernels_interrupt_controllers)
{
	const char *args[] = {
		"--engine", "kvm", "--irqchip=kernel", child_guest("minios"), "-append",
		"demo",     NULL
	};
	static struct child c;

	run(&c, args, NULL);
	if (!ran(&c))
		return;
	for (const char *p = c.out; (p = strstr(p, "not ok ")); p++)
		cr_expect(kvm_here_is_pvm() && (!strncmp(p + 7, "cli and sti:", 12) ||
						!strncmp(p + 7, "task priority:", 14) ||
						!strncmp(p + 7, "iret that sets if:", 18) ||
						!strncmp(p + 7, "interrupt gate:", 15) ||
						!strncmp(p + 7, "trap gate:", 10)),
			  "%s", c.out);
	cr_expect_not_null(strstr(c.out, "ok 100 lapic timer ticks\n"), "%s", c.out);
	cr_expect_not_null(strstr(c.out, "ok pit tick through the pic\n"), "%s", c.out);
	cr_expect_not_null(strstr(c.out, "minios: 50 checks"), "%s", c.out);
}

Test(kvm, a_triple_fault_is_reported_as_on_the_world)
{
	const char *args[] = {
		"--engine", "kvm", child_guest("minios"), "-append", "triple", NULL
	};
	static struct child c;

	run(&c, args, NULL);
	if (!ran(&c))
		return;
	cr_expect_eq(c.status, 3, "%d %s", c.status, c.err);
	cr_expect_not_null(strstr(c.err, "the guest died: triple fault"), "%s", c.err);
	cr_expect_not_null(strstr(c.err, "registers of vCPU 0:"), "%s", c.err);
}

/* Interrupts of every kind, shared memory without exits, and a doorbell each way. */
Test(kvm, an_assigned_device_is_served)
{
	static const char *const modes[] = { "user", "kernel" };
	static struct child c;
	char device[512];

	snprintf(device, sizeof(device), "%s", child_ringside());
	cr_assert_not_null(strrchr(device, '/'));
	strcpy(strrchr(device, '/'), "/tests/assign-device");
	for (int i = 0; i < 2; i++) {
		c = (struct child){ .argv = { device, "--rounds", "20", child_ringside(),
					      child_guest("assign"), "--engine", "kvm", "--irqchip",
					      modes[i], "--timeout", "60" },
				    .seconds = 70 };
		child_run(&c);
		if (!kvm_here()) {
			cr_expect_not_null(strstr(c.err, "--engine world"), "%s", c.err);
			continue;
		}
		cr_expect_eq(c.status, 0, "%s: %d\n%s%s", modes[i], c.status, c.out, c.err);
		cr_expect_not_null(strstr(c.out, "external: 3 interrupts"), "%s", c.out);
		cr_expect_not_null(strstr(c.out, "system: 3 interrupts"), "%s", c.out);
		cr_expect_not_null(strstr(c.out, "ipi: 3 interrupts"), "%s", c.out);
		cr_expect_not_null(strstr(c.out, "assigned: 20 requests of device 0, 0 errors"),
				   "%s", c.out);
	}
}

/* ---- the account ---- */

static struct json_object *get(struct json_object *o, const char *key)
{
	struct json_object *val;

	cr_assert(json_object_object_get_ex(o, key, &val), "no %s in %s", key,
		  json_object_to_json_string(o));
	return val;
}

static int64_t num(struct json_object *o, const char *key)
{
	return json_object_get_int64(get(o, key));
}

static int64_t sum_of(struct json_object *o)
{
	int64_t sum = 0;

	json_object_object_foreach(o, key, val)
	{
		(void)key;
		sum += json_object_get_int64(val);
	}
	return sum;
}

/* What was counted adds up: by cause, by vCPU, by symbol; and KVM counted no less than came here.
 */
static void check_account(struct json_object *o, const char *engine)
{
	struct json_object *vcpus = get(o, "vcpus"), *symbols = get(o, "symbols"), *v, *s;
	int64_t by_vcpu = 0, by_symbol = 0;
	bool print_is_there = false;

	cr_expect_str_eq(json_object_get_string(get(o, "engine")), engine);
	for (size_t i = 0; i < json_object_array_length(vcpus); i++) {
		v = json_object_array_get_idx(vcpus, i);
		cr_expect_eq(sum_of(get(v, "causes")), num(v, "exits"));
		by_vcpu += num(v, "exits");
	}
	for (size_t i = 0; i < json_object_array_length(symbols); i++) {
		s = json_object_array_get_idx(symbols, i);
		cr_expect_eq(sum_of(get(s, "causes")), num(s, "count"));
		by_symbol += num(s, "count");
		if (get(s, "symbol") && !strcmp(json_object_get_string(get(s, "symbol")), "print"))
			print_is_there = num(get(s, "causes"), "out") > 100;
	}
	cr_expect_eq(by_vcpu, num(o, "exits"));
	cr_expect_eq(by_symbol + num(o, "sites_lost"), num(o, "exits"));
	cr_expect(print_is_there, "print() has outs: %s", json_object_to_json_string(symbols));
}

static struct json_object *demo_account(const char *engine)
{
	const char *args[] = { "--engine", engine, "--stats=json", child_guest("minios"), "-append",
			       "demo",     NULL };
	static struct child c;
	struct json_object *o;
	const char *json;

	run(&c, args, NULL);
	if (!strcmp(engine, "kvm") && !ran(&c))
		return NULL;
	json = strchr(c.err, '{'); /* behind the note on kvm_pvm */
	o = json ? json_tokener_parse(json) : NULL;
	cr_assert_not_null(o, "%s", c.err);
	check_account(o, engine);
	return o;
}

Test(kvm, both_engines_fill_one_account)
{
	struct json_object *world = demo_account("world"), *o = demo_account("kvm"), *kvm, *stats;

	cr_expect_null(get(world, "kvm"));
	json_object_put(world);
	if (!o)
		return;
	kvm = get(o, "kvm");
	stats = get(kvm, "stats");
	cr_expect_eq(strncmp(json_object_get_string(get(kvm, "module")), "kvm_", 4), 0);
	cr_expect_str_eq(json_object_get_string(get(kvm, "irqchip")), "user");
	if (stats) {
		cr_expect_geq(num(stats, "exits"), 100);
		cr_expect_eq(
			num(stats, "halt_exits"),
			num(get(json_object_array_get_idx(get(o, "vcpus"), 0), "causes"), "hlt"));
		cr_expect_eq(json_object_array_length(get(kvm, "vcpus")), 1);
	}
	/* Each exit with its reason, or one sentence why not. */
	if (get(kvm, "hardware")) {
		cr_expect_null(get(kvm, "hardware_why"));
		cr_expect_eq(num(get(kvm, "hardware"), "exits"), num(stats, "exits"));
	} else {
		cr_expect_gt(json_object_get_string_len(get(kvm, "hardware_why")), 10);
	}
	json_object_put(o);
}
