/* SPDX-License-Identifier: MIT */
/* Engine "world": a vCPU runs deprivileged, at ring 3, in a sandboxed host process. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/code.h"
#include "vmm/tsc.h"
#include "vmm/world/world.h"

#define FL_REAL (FL_ARITH | FL_DF | FL_TF | FL_NT | FL_ID)

static void world_destroy(struct engine *e)
{
	struct world *w = world_of(e);

	world_reap(w);
	handoff_detach(w);
	pthread_mutex_destroy(&w->map_lock);
	free(w);
}

/*: 30. A cage
 * Guest code never runs in this process. It runs in a *world*: a child process that has the
 * guest's RAM where the guest expects it, and whose guest thread may make no system call but two.
 * This makes the handle; the process is born when it is first needed.
 */
static int world_create(struct vcpu *v, struct engine **out)
{
	struct world *w = calloc(1, sizeof(*w));
	int err;

	if (!w)
		return vm_host_fail(v->vm, "out of memory for a world");
	w->engine.ops = &world_engine;
	w->vcpu = v;
	w->pidfd = w->done_fd = -1;
	pthread_mutex_init(&w->map_lock, NULL);
	tsc_hz();
	/* The first vCPU makes what all share. */
	pthread_mutex_lock(&v->vm->mmu_lock);
	if (!v->vm->code) {
		v->vm->code = code_new(v->vm);
		code_use_symbols(v->vm);
		if (v->vm->code && v->vm->tsc_trap)
			code_patch_tsc(v->vm->code);
	}
	pthread_mutex_unlock(&v->vm->mmu_lock);
	if (!v->vm->code) {
		free(w);
		return vm_host_fail(v->vm, "out of memory for shadow code pages");
	}
	err = handoff_attach(w);
	if (err) {
		free(w);
		return vm_host_fail(v->vm, "out of memory for a world");
	}
	err = world_spawn(w);
	if (err) {
		world_destroy(&w->engine);
		return err;
	}
	*out = &w->engine;
	return 0;
}

static int world_died(struct world *w, struct exit *x)
{
	w->dead = true;
	x->reason = EXIT_DEAD;
	x->why = "its world process died";
	return 0;
}

/* The stub's own first exit: nothing of the guest has run yet. */
static int world_start(struct world *w)
{
	if (w->started)
		return 0;
	if (handoff_choose(w, w->vcpu->vm->handoff) < 0)
		return vm_host_fail(w->vcpu->vm,
				    "--handoff spin needs two CPUs, and this process may use one");
	handoff_enter(w);
	/* The turn word starts as the runner's; it hands over when it is ready. */
	if (handoff_wait(w) < 0) {
		int status = world_reap(w);

		w->dead = true;
		return vm_host_fail(w->vcpu->vm, "a world died while starting (wait status %#x)",
				    status);
	}
	w->mapper =
		(pid_t)w->xchg->mapper_tid; /* nothing of the guest has run yet: to be believed */
	w->placed_cpu = -1;                 /* the mapper has still to be put in its place */
	w->started = true;
	return 0;
}

static void load_registers(struct world *w, const uint16_t real[SEG_COUNT], unsigned flags)
{
	const struct cpu_regs *g = &w->vcpu->regs;
	struct world_regs *r = &w->xchg->regs;
	uint32_t fl = (g->eflags & FL_REAL) | FL_IF | FL_FIXED;

	if (flags & ENGINE_STEP)
		fl |= FL_TF;
	if (world_checks_alignment(w->vcpu))
		fl |= g->eflags & FL_AC;
	for (int i = 0; i < GPR_COUNT; i++)
		r->gpr[i] = g->gpr[i];
	r->eip = g->eip;
	r->eflags = fl;
	memcpy(r->seg, real, sizeof(r->seg));
	memcpy(w->real, real, sizeof(w->real));
}

/*: 50. Into the guest
 * Registers go to a page that is shared with the world, and the turn is given away. When this
 * comes back the guest has done something that it may not do, or has been kicked. What the world
 * wrote is copied once and then checked: it may have been written by a guest that broke out.
 */
static int world_run(struct engine *e, unsigned flags, struct exit *x)
{
	struct world *w = world_of(e);
	uint16_t real[SEG_COUNT];
	struct world_xchg copy;
	uint64_t seen;
	int err;

	memset(x, 0, sizeof(*x));
	if (w->dead)
		return world_died(w, x);
	err = world_start(w);
	if (err)
		return err;
	pthread_mutex_lock(&w->map_lock);
	err = world_install_segments(w, real);
	if (!err)
		err = world_flush(w);
	pthread_mutex_unlock(&w->map_lock);
	if (err)
		return err;
	load_registers(w, real, flags);

	/* From here a kick needs a signal; one that came before is seen now. */
	atomic_store(&w->in_guest, true);
	if (atomic_load(&w->vcpu->kicked)) {
		atomic_store(&w->in_guest, false);
		x->reason = EXIT_KICK;
		return 0;
	}
	err = handoff_run(w);
	atomic_store(&w->in_guest, false);
	seen = tsc_read();
	if (err == -EPROTO) {
		x->reason = EXIT_BREACH;
		x->why = "wrote to the share page";
		return 0;
	}
	if (err)
		return world_died(w, x);

	/* Copied once; what the world does to its page now changes nothing. */
	memcpy(&copy, w->xchg, sizeof(copy));
	/* The stub's stamps are only believed where they are in order. */
	if (copy.exit.tsc_resume >= w->tsc_posted && copy.exit.tsc_trap >= copy.exit.tsc_resume &&
	    copy.exit.tsc_trap <= seen) {
		uint64_t guest = copy.exit.tsc_trap - copy.exit.tsc_resume;
		uint64_t handoff = (copy.exit.tsc_resume - w->tsc_posted) +
				   (seen - copy.exit.tsc_trap);

		x->guest_ns = (uint32_t)tsc_to_ns(guest);
		x->handoff_ns = (uint32_t)tsc_to_ns(handoff);
		handoff_learn(w, guest, handoff);
	}
	return world_classify(w, &copy, flags, x);
}

static int world_request(struct world *w, const struct world_request *rq)
{
	int err;

	pthread_mutex_lock(&w->map_lock);
	err = world_queue(w, rq);
	pthread_mutex_unlock(&w->map_lock);
	return err;
}

static int world_sync(struct engine *e)
{
	struct world *w = world_of(e);
	int err;

	pthread_mutex_lock(&w->map_lock);
	err = w->dead ? 0 : world_flush(w);
	pthread_mutex_unlock(&w->map_lock);
	return err;
}

static int world_prot(unsigned prot)
{
	return (prot & MAP_R ? PROT_READ : 0) | (prot & MAP_W ? PROT_WRITE : 0) |
	       (prot & MAP_X ? PROT_EXEC : 0);
}

/* Is [@gpa, @gpa + @len) within [@base, @base + @size)? */
static bool within(gpa_t gpa, uint64_t len, gpa_t base, uint64_t size)
{
	return gpa >= base && len <= size && gpa - base <= size - len;
}

/* The world's descriptor of what is behind [@gpa, @gpa + @len), and where in it; or -EINVAL. */
static int backing(const struct vm *vm, gpa_t gpa, uint64_t len, unsigned prot, uint64_t *off)
{
	const struct vm_region *r = region_at(vm, gpa);

	*off = gpa;
	if (within(gpa, len, 0, vm->ram_len))
		return WORLD_FD_RAM;
	*off = gpa - VM_COPIES_GPA + vm->ram_len;
	if (within(gpa, len, VM_COPIES_GPA, VM_COPIES_LEN))
		return WORLD_FD_RAM;
	if (!r || !within(gpa, len, r->gpa, r->len) || (prot & MAP_X))
		return -EINVAL;
	*off = gpa - r->gpa;
	return WORLD_FD_REGION + (int)(r - vm->region);
}

static int world_map(struct engine *e, gva_t gva, gpa_t gpa, uint64_t len, unsigned prot)
{
	struct world *w = world_of(e);
	uint64_t off;
	int fd = backing(w->vcpu->vm, gpa, len, prot, &off);

	if (fd < 0 || (gva | gpa | len) % PAGE_SIZE || !len || len > (1ull << 32) - gva)
		return -EINVAL;
	if (gva < w->engine.low_limit)
		return -EPERM;
	struct world_request rq = {
		.nr = SYS_mmap,
		.arg = { gva, len, (uint64_t)world_prot(prot), MAP_SHARED | MAP_FIXED, (uint64_t)fd,
			 off },
	};
	return world_request(w, &rq);
}

static int world_unmap(struct engine *e, gva_t gva, uint64_t len)
{
	struct world_request rq = { .nr = SYS_munmap, .arg = { gva, len } };

	if ((gva | len) % PAGE_SIZE || !len || len > (1ull << 32) - gva)
		return -EINVAL;
	return world_request(world_of(e), &rq);
}

static int world_invalidate(struct engine *e)
{
	return world_unmap(e, 0, 1ull << 32);
}

static uint64_t world_cpu_ns(struct engine *e)
{
	struct world *w = world_of(e);
	struct timespec ts;
	clockid_t clock;

	if (w->pid <= 0 || clock_getcpuclockid(w->pid, &clock) || clock_gettime(clock, &ts))
		return 0;
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void world_kick(struct engine *e)
{
	struct world *w = world_of(e);

	if (atomic_load(&w->in_guest) && w->pid > 0)
		syscall(SYS_tgkill, w->pid, w->pid, WORLD_KICK_SIGNAL);
}

/* Length of the XSAVE image in the signal frame; <asm/sigcontext.h>, struct _fpx_sw_bytes. */
static uint8_t *world_fpu(struct world *w, size_t *len)
{
	uint64_t off = w->xchg->exit.fpu_offset;
	uint32_t magic, size;

	if (!w->started || off % 64 || off < WORLD_STACK_OFFSET || off > WORLD_SHARE_SIZE - 512)
		return NULL;
	memcpy(&magic, w->share + off + 464, sizeof(magic));
	memcpy(&size, w->share + off + 464 + 16, sizeof(size)); /* xstate_size */
	if (magic != 0x46505853u || size < 512 || size > WORLD_SHARE_SIZE - off)
		size = 512; /* FXSAVE only */
	*len = size;
	return w->share + off;
}

static long world_get_fpu(struct engine *e, void *buf, size_t size)
{
	size_t len = 0;
	uint8_t *p = world_fpu(world_of(e), &len);

	if (!p)
		return -EINVAL;
	memcpy(buf, p, len < size ? len : size);
	return (long)len;
}

static int world_set_fpu(struct engine *e, const void *buf, size_t size)
{
	size_t len = 0;
	uint8_t sw[48];
	uint8_t *p;
	int err = world_start(world_of(e)); /* before that there is no frame */

	if (err)
		return err;
	p = world_fpu(world_of(e), &len);
	if (!p || size < 512 || size > len)
		return -EINVAL;
	/* Bytes 464-511 tell the kernel what the frame holds: they stay the frame's own. */
	memcpy(sw, p + 464, sizeof(sw));
	memcpy(p, buf, size);
	memcpy(p + 464, sw, sizeof(sw));
	return 0;
}

const struct engine_ops world_engine = {
	.name = "world",
	.create = world_create,
	.destroy = world_destroy,
	.run = world_run,
	.map = world_map,
	.unmap = world_unmap,
	.invalidate = world_invalidate,
	.sync = world_sync,
	.cpu_ns = world_cpu_ns,
	.kick = world_kick,
	.get_fpu = world_get_fpu,
	.set_fpu = world_set_fpu,
};
