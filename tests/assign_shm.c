/* SPDX-License-Identifier: MIT */
/*
 * The shared memory of an assigned device in the guest: mapped natively with the rights the guest's
 * tables give, never executable, and at the mercy of whoever shares it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/paging_guest.h"
#include "vmm/region.h"

TestSuite(assign_shm, .timeout = 60);

#define WS_GPA CG_RAM /* next to the RAM: one run of neighbours must not cross */
#define WS_LEN (4 * PAGE_SIZE)

static struct {
	struct cg g;
	int fd;
	uint32_t *shm;         /* the host program's view */
	unsigned pages, odd;   /* of the window in the world; with rights it must not have */
	unsigned fds[8], nfds; /* the world's descriptors */
} ws;

/* Port 0xe4: what does the world look like now? */
static void ws_look(void *dev, uint64_t at, unsigned width, uint32_t val)
{
	int pid = (int)world_of(ws.g.v.engine)->pid;
	unsigned long from, to;
	char path[64], line[256], prot[8];
	struct dirent *d;
	DIR *dir;
	FILE *f;

	(void)dev;
	(void)at;
	(void)width;
	(void)val;
	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	f = fopen(path, "re");
	cr_assert_not_null(f);
	while (fgets(line, sizeof(line), f)) {
		if (!strstr(line, "memfd:window") ||
		    sscanf(line, "%lx-%lx %7s", &from, &to, prot) != 3)
			continue;
		ws.pages += (unsigned)((to - from) / PAGE_SIZE);
		ws.odd += prot[2] == 'x' || prot[3] != 's' || to > 1ul << 32;
	}
	fclose(f);
	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	cr_assert_not_null(dir);
	while ((d = readdir(dir)))
		if (d->d_name[0] != '.' && ws.nfds < 8)
			ws.fds[ws.nfds++] = (unsigned)atoi(d->d_name);
	closedir(dir);
}

/* Port 0xe5: the host program shrinks its file. */
static void ws_shrink(void *dev, uint64_t at, unsigned width, uint32_t val)
{
	(void)dev;
	(void)at;
	(void)width;
	cr_assert_eq(ftruncate(ws.fd, (off_t)(val & 0xff) * PAGE_SIZE), 0);
}

/* The world gets its descriptors at birth, so it is born again with the window. */
static void ws_load(const uint8_t *code, const uint8_t *end)
{
	struct bus_range look = {
		.name = "look", .base = 0xe4, .len = 1, .read = cg_read, .write = ws_look
	};
	struct bus_range shrink = {
		.name = "shrink", .base = 0xe5, .len = 1, .read = cg_read, .write = ws_shrink
	};
	struct vm_region r = { .vm = &ws.g.vm, .gpa = WS_GPA, .len = WS_LEN, .file = "window" };

	pk_load(&ws.g, code, end);
	ws.fd = r.fd = memfd_create("window", MFD_CLOEXEC);
	cr_assert_eq(ftruncate(ws.fd, WS_LEN), 0);
	ws.shm = mmap(NULL, WS_LEN, PROT_READ | PROT_WRITE, MAP_SHARED, ws.fd, 0);
	cr_assert_neq(ws.shm, MAP_FAILED);
	world_engine.destroy(ws.g.v.engine);
	cr_assert_eq(region_add(&r), 0);
	cr_assert_eq(world_engine.create(&ws.g.v, &ws.g.v.engine), 0);
	cr_assert_eq(bus_add(&ws.g.vm.pio, &look), 0);
	cr_assert_eq(bus_add(&ws.g.vm.pio, &shrink), 0);
	ws.g.vm.ram[PK_TSS + 0x68 + 0xe4 / 8] = 0; /* for user code too */
	/* With paging: 4 MiB to 8 MiB.  For all; read-only for the user; the kernel's; for all. */
	*pk_word(&ws.g, PK_PD + 4) = 0x12007;
	*pk_word(&ws.g, 0x12000) = WS_GPA | 7;
	*pk_word(&ws.g, 0x12004) = (WS_GPA + 0x1000) | 5;
	*pk_word(&ws.g, 0x12008) = (WS_GPA + 0x2000) | 3;
	*pk_word(&ws.g, 0x1200c) = (WS_GPA + 0x3000) | 7;
	*pk_word(&ws.g, PK_PD + 8) = 0xe3 |
				     WS_GPA; /* 8 MiB: a large page, used and written before */
}

static void ws_free(void)
{
	cg_free(&ws.g);
	munmap(ws.shm, WS_LEN);
	close(ws.fd);
}

static struct bus_range *ws_bus(void)
{
	return bus_find(&ws.g.vm.mmio, WS_GPA);
}

/* It must end, with @says in its last sentence. */
static void ws_die(int end, const char *says)
{
	vcpu_run(&ws.g.v);
	cr_expect_eq(atomic_load(&ws.g.vm.end), end, "end %d at %#x: %s", ws.g.vm.end,
		     ws.g.v.regs.eip, ws.g.vm.death);
	cr_expect_not_null(strstr(ws.g.vm.death, says), "\"%s\" is not in \"%s\"", says,
			   ws.g.vm.death);
}

#define WS_LOAD(name) ws_load(name, name##_end)

GUEST(ws_flat, "mov 0x400000,%eax\n movl $0x600d,0x400ffc\n mov 0x401004,%ebx\n out %al,$0xe4\n"
	       "movl $0x900d,0x3ffffc\n mov 0x3ffffc,%ecx\n" DONE);

Test(assign_shm, without_paging_the_guest_has_it_natively)
{
	WS_LOAD(ws_flat);
	ws.shm[0] = 0x1234;
	ws.shm[0x1004 / 4] = 0x5678;
	cg_go(&ws.g);
	cr_expect_eq(REG(&ws.g, EAX), 0x1234);
	cr_expect_eq(REG(&ws.g, EBX), 0x5678);
	cr_expect_eq(REG(&ws.g, ECX), 0x900d, "the RAM next to it");
	cr_expect_eq(ws.shm[0xffc / 4], 0x600d);
	cr_expect_eq(ws_bus()->reads + ws_bus()->writes, 0, "emulated");
	cr_expect_eq(ws.pages, 4);
	cr_expect_eq(ws.odd, 0, "rights in the world");
	/* RAM, the mapper's eventfd and the window: nothing else. */
	cr_assert_eq(ws.nfds, 3);
	cr_expect_eq(ws.fds[0] + ws.fds[1] + ws.fds[2],
		     WORLD_FD_RAM + WORLD_FD_DONE + WORLD_FD_REGION);
	ws_free();
}

/* clang-format off */
GUEST(ws_paging, PK_KERNEL PK_PAGING
      "mov 0x402000,%ebp\n mov 0x403000,%ebx\n"
      /* Another page in its place, by INVLPG and by a load of CR3. */
      "movl $0x300007,0x1200c\n invlpg 0x403000\n mov 0x403000,%ecx\n"
      "movl $0x403007,0x1200c\n mov %cr3,%edx\n mov %edx,%cr3\n mov 0x403000,%edx\n"
      PK_TO_USER("1f") ".balign 4096\n 1: movl $0x600d,0x400010\n"
      PK_TRY("movl $1,0x401010") "mov 0x401010,%esi\n" PK_TRY("mov 0x402010,%edi")
      PK_TRY("mov 0x404000,%edi") "out %al,$0xe4\n" PK_END);
/* clang-format on */

Test(assign_shm, with_paging_the_guests_tables_give_the_rights)
{
	WS_LOAD(ws_paging);
	ws.shm[0x2000 / 4] = 0x222;
	ws.shm[0x3000 / 4] = 0x333;
	ws.shm[0x1010 / 4] = 0x111;
	*pk_word(&ws.g, 0x300000) = 0xabc;
	cg_go(&ws.g);
	cr_expect_eq(REG(&ws.g, EBP), 0x222);
	cr_expect_eq(REG(&ws.g, EBX), 0x333);
	cr_expect_eq(REG(&ws.g, ECX), 0xabc, "after INVLPG");
	cr_expect_eq(REG(&ws.g, EDX), 0x333, "after a load of CR3");
	cr_expect_eq(REG(&ws.g, ESI), 0x111);
	cr_expect_eq(ws.shm[4], 0x600d);
	cr_assert_eq(pk_records(&ws.g), 4);
	PK_EXPECT_PF(&ws.g, 0, PF_PRESENT | PF_WRITE | PF_USER, 0x401010);
	PK_EXPECT_PF(&ws.g, 1, PF_PRESENT | PF_USER, 0x402010);
	PK_EXPECT_PF(&ws.g, 2, PF_USER, 0x404000);
	/* A, and D where something was written. */
	cr_expect_eq(*pk_word(&ws.g, 0x12000) & 0x60, 0x60);
	cr_expect_eq(*pk_word(&ws.g, 0x12004) & 0x60, 0x20);
	cr_expect_eq(ws_bus()->reads + ws_bus()->writes, 0, "emulated");
	/* The user's world: what the user touched, and page 3 perhaps, but not the kernel's. */
	cr_expect_geq(ws.pages, 2);
	cr_expect_leq(ws.pages, 3);
	cr_expect_eq(ws.odd, 0, "rights in the world");
	ws_free();
}

/* clang-format off */
GUEST(ws_large, PK_KERNEL "mov %cr4,%eax\n or $0x10,%eax\n mov %eax,%cr4\n" PK_PAGING
      "mov 0x800000,%eax\n mov 0x803ffc,%ebx\n mov 0x804000,%ecx\n"
      "lock incl 0x801000\n out %al,$0xe4\n" PK_END);
/* clang-format on */

/* Behind the window, in the same large page, is nothing: all ones. */
Test(assign_shm, in_a_large_page)
{
	WS_LOAD(ws_large);
	ws.shm[0] = 1;
	ws.shm[0x3ffc / 4] = 2;
	cg_go(&ws.g);
	cr_expect_eq(REG(&ws.g, EAX), 1);
	cr_expect_eq(REG(&ws.g, EBX), 2);
	cr_expect_eq(REG(&ws.g, ECX), 0xffffffff);
	cr_expect_eq(ws.shm[0x1000 / 4], 1);
	cr_expect_eq(ws.pages, 4);
	cr_expect_eq(ws.odd, 0);
	ws_free();
}

/* ---- never executed ---- */

GUEST(ws_jump, "mov 0x400000,%eax\n mov $0x400000,%eax\n jmp *%eax\n");
/* clang-format off */
GUEST(ws_jump_kernel, PK_KERNEL PK_PAGING "mov 0x400000,%eax\n mov $0x400000,%eax\n jmp *%eax\n");
GUEST(ws_jump_user, PK_KERNEL PK_PAGING PK_TO_USER("1f")
      ".balign 4096\n 1: mov 0x400000,%eax\n mov $0x400000,%eax\n jmp *%eax\n");
/* clang-format on */

static void ws_jumps(const uint8_t *code, const uint8_t *end)
{
	ws_load(code, end);
	ws.shm[0] = 0xfeeb; /* a loop */
	ws_die(VM_KILLED, "executes at 0x400000, in the shared memory of assigned device 0");
	ws_free();
}

Test(assign_shm, is_not_executed_without_paging)
{
	ws_jumps(ws_jump, ws_jump_end);
}

Test(assign_shm, is_not_executed_by_a_kernel)
{
	ws_jumps(ws_jump_kernel, ws_jump_kernel_end);
}

Test(assign_shm, is_not_executed_by_a_user)
{
	ws_jumps(ws_jump_user, ws_jump_user_end);
}

Test(assign_shm, cannot_be_mapped_executable_nor_past_its_end)
{
	struct engine *e;

	WS_LOAD(ws_flat);
	e = ws.g.v.engine;
	cr_expect_eq(e->ops->map(e, WS_GPA, WS_GPA, PAGE_SIZE, MAP_R | MAP_X), -EINVAL);
	cr_expect_eq(e->ops->map(e, WS_GPA, WS_GPA, WS_LEN + PAGE_SIZE, MAP_R), -EINVAL);
	cr_expect_eq(e->ops->map(e, WS_GPA, WS_GPA - PAGE_SIZE, 2 * PAGE_SIZE, MAP_R), -EINVAL);
	cr_expect_eq(e->ops->map(e, WS_GPA, WS_GPA, WS_LEN, MAP_R | MAP_W), 0);
	ws_free();
}

/* Even the mapper, were it told to, cannot: its filter ends the world. */
Test(assign_shm, mapper_that_would_map_it_executable_is_killed)
{
	struct world_request rq = { .nr = SYS_mmap,
				    .arg = { WS_GPA, PAGE_SIZE, PROT_READ | PROT_EXEC,
					     MAP_SHARED | MAP_FIXED, WORLD_FD_REGION, 0 } };
	struct world *w;

	WS_LOAD(ws_flat);
	w = world_of(ws.g.v.engine);
	pthread_mutex_lock(&w->map_lock);
	cr_expect_eq(world_queue(w, &rq), 0);
	pthread_mutex_unlock(&w->map_lock);
	ws_die(VM_HOST_FAIL, "a world process died while its memory was mapped");
	ws_free();
}

/* clang-format off */
GUEST(ws_breach, PK_KERNEL PK_PAGING PK_TO_USER("1f") ".balign 4096\n 1: mov 0x400000,%eax\n"
      "ljmp $0x33,$" A("2f") "\n"
      /* ftruncate(WORLD_FD_REGION, 0); the same bytes in 64-bit code */
      "2: mov $77,%eax\n mov $7,%edi\n xor %esi,%esi\n .byte 0x0f, 0x05\n jmp .\n");
/* clang-format on */
_Static_assert(WORLD_FD_REGION == 7 && SYS_ftruncate == 77, "the code of ws_breach");

/* In 64-bit code the descriptors are in sight, but out of reach. */
Test(assign_shm, runner_that_breaks_out_cannot_use_the_descriptor)
{
	WS_LOAD(ws_breach);
	ws_die(VM_KILLED, "64-bit system call");
	cr_expect_eq(lseek(ws.fd, 0, SEEK_END), WS_LEN);
	ws_free();
}

/* ---- together with the host's program ---- */

#define WS_ADDS  2000u
#define WS_ADDED 0x63u

static _Atomic bool ws_over;

static void *ws_adder(void *arg)
{
	uint32_t *word = arg;

	while (!atomic_load(&ws_over)) {
		__atomic_fetch_add(word, 7, __ATOMIC_SEQ_CST);
		__atomic_fetch_sub(word, 7, __ATOMIC_SEQ_CST);
	}
	return NULL;
}

static void ws_add(const uint8_t *code, const uint8_t *end, uint32_t sum)
{
	pthread_t adder;

	ws_load(code, end);
	cr_assert_eq(pthread_create(&adder, NULL, ws_adder, ws.shm), 0);
	cg_go(&ws.g);
	atomic_store(&ws_over, true);
	pthread_join(adder, NULL);
	cr_expect_eq(ws.shm[0], sum, "%#x, not %#x", ws.shm[0], sum);
}

GUEST(ws_lock, "mov $200000,%ecx\n 1: lock incl 0x400000\n loop 1b\n" DONE);

Test(assign_shm, locked_instructions_are_atomic)
{
	ws_add(ws_lock, ws_lock_end, 200000);
	ws_free();
}

/*
 * The last byte of the locked instruction (subtract 0x63) is a popf, which is executed once: so the
 * scanner patches both, and the VMM sees each of the locked ones.
 */
GUEST(ws_lock_patched, "mov $2001,%ecx\n push $2\n jmp 2f-1\n"
		       "1: .byte 0xf0, 0x83, 0x05\n .long 0x400000\n .byte 0x9d\n"
		       "2: loop 1b\n" DONE);

Test(assign_shm, locked_instructions_next_to_a_patch_are_atomic)
{
	ws_add(ws_lock_patched, ws_lock_patched_end, 0u - WS_ADDS * WS_ADDED);
	cr_expect_geq(ws.g.st.steps, WS_ADDS, "%lu: the scanner left it alone", ws.g.st.steps);
	ws_free();
}

/* ---- what the VMM does there for the guest ---- */

/* clang-format off */
GUEST(ws_frame, PK_KERNEL "sgdt 0x400ffd\n sgdt 0x300000\n mov $0x402000,%esp\n int $0x21\n"
      "out %al,$0xe4\n mov $0x190000,%esp\n" PK_END);
/* clang-format on */

Test(assign_shm, emulated_accesses_reach_it)
{
	WS_LOAD(ws_frame);
	cg_go(&ws.g);
	cr_expect_arr_eq((uint8_t *)ws.shm + 0xffd, ws.g.vm.ram + 0x300000, 6);
	/* Flags, CS and EIP of the software interrupt. */
	cr_expect_eq(ws.shm[0x1ff8 / 4] & 0xffff, PK_CS0);
	cr_expect_eq(ws.shm[0x1ff4 / 4], pk_record(&ws.g, 0)->eip);
	PK_EXPECT(&ws.g, 0, 0x21, 0);
	cr_expect_geq(ws_bus()->writes, 3);
	ws_free();
}

/* ---- the file shrinks ---- */

#define WS_SHRINK(pages) "mov $" #pages ",%al\n out %al,$0xe5\n"

GUEST(ws_shrunk_read, "mov 0x400000,%eax\n" WS_SHRINK(1) "mov 0x400000,%eax\n mov 0x401000,%eax\n");
GUEST(ws_shrunk_store, "mov 0x400000,%eax\n" WS_SHRINK(0) "sgdt 0x400000\n");
/* clang-format off */
GUEST(ws_shrunk_load, PK_KERNEL "mov 0x403000,%eax\n" WS_SHRINK(3) "lidt 0x403000\n");
GUEST(ws_shrunk_user, PK_KERNEL PK_PAGING PK_TO_USER("1f")
      ".balign 4096\n 1: movl $1,0x403000\n" WS_SHRINK(3) "movl $1,0x403000\n");
/* clang-format on */

static void ws_shrinks(const uint8_t *code, const uint8_t *end, unsigned pages)
{
	char says[128];

	ws_load(code, end);
	snprintf(says, sizeof(says),
		 "assigned device 0: its shared memory window shrank from 16384 to %u bytes",
		 pages * PAGE_SIZE);
	ws_die(VM_HOST_FAIL, says);
	cr_expect_eq(lseek(ws.fd, 0, SEEK_END), (off_t)pages * PAGE_SIZE, "it grew again");
	ws_free();
}

Test(assign_shm, guest_that_reads_what_is_gone_ends)
{
	ws_shrinks(ws_shrunk_read, ws_shrunk_read_end, 1);
}

Test(assign_shm, emulated_store_to_what_is_gone_ends_the_guest)
{
	ws_shrinks(ws_shrunk_store, ws_shrunk_store_end, 0);
}

Test(assign_shm, emulated_load_from_what_is_gone_ends_the_guest)
{
	ws_shrinks(ws_shrunk_load, ws_shrunk_load_end, 3);
}

Test(assign_shm, user_that_writes_what_is_gone_ends_the_guest)
{
	ws_shrinks(ws_shrunk_user, ws_shrunk_user_end, 3);
}
