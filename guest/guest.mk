# Guest images: everything below guest/ and tests/hostile/ becomes $(O)/guest/NAME.elf.
#
# They are 32-bit Multiboot kernels for no operating system at all, so they are built with none
# of the host's habits: no libc, no position independence, no stack protector, no SSE.
# Included by the top Makefile, which defines O, WARN and CC.

GUEST_ARCH   := -m32 -ffreestanding -fno-pic -fno-stack-protector -fcf-protection=none \
                -mgeneral-regs-only -fno-asynchronous-unwind-tables
GUEST_CFLAGS := -std=c11 -O2 -g $(WARN) $(GUEST_ARCH)
GUEST_LINK   := -m32 -nostdlib -static -no-pie -Wl,--build-id=none -Wl,-z,noexecstack \
                -Wl,--no-warn-rwx-segments

# guest/minios: a teaching kernel of several files.
MINIOS_SRC   := $(sort $(wildcard guest/minios/*.c guest/minios/*.S))
MINIOS_OBJ   := $(patsubst %,$(O)/%.o,$(basename $(MINIOS_SRC)))
MINIOS       := $(O)/guest/minios.elf

# Its user programs: each NAME.c in user/ but the library becomes user/NAME.elf, and all of them
# together one ar(1) archive, to be loaded as a module (guest/minios/programs.c).
MINIOS_USRC  := $(sort $(wildcard guest/minios/user/*.c guest/minios/user/*.S))
MINIOS_LIB   := $(addprefix $(O)/guest/minios/,user/start.o user/user.o format.o lib.o)
MINIOS_UTHREAD := $(O)/guest/minios/user/uthread.a
MINIOS_USER  := $(filter-out user uthread,$(basename $(notdir $(wildcard guest/minios/user/*.c))))
MINIOS_PROGS := $(patsubst %,$(O)/guest/minios/user/%.elf,$(sort $(MINIOS_USER)))
MINIOS_AR    := $(O)/guest/minios-programs.a

# guest/runtime: what the others share, with two files of minios; an image has what it calls.
RUNTIME_SRC  := $(sort $(wildcard guest/runtime/*.c))
RUNTIME_OBJ  := $(patsubst %.c,$(O)/%.o,$(RUNTIME_SRC)) $(addprefix $(O)/guest/minios/,lib.o format.o)
RUNTIME      := $(O)/guest/runtime.a

# guest/conform: every sensitive instruction in every interesting state; tests/conform.c compares.
CONFORM_SRC  := $(sort $(wildcard guest/conform/*.c guest/conform/*.S))
CONFORM_OBJ  := $(patsubst %,$(O)/%.o,$(basename $(CONFORM_SRC)))
CONFORM      := $(O)/guest/conform.elf

# guest/bench: what operations of a kernel cost; bench/paging.c compares with QEMU.
BENCH_SRC    := $(sort $(wildcard guest/bench/*.c guest/bench/*.S))
BENCH_OBJ    := $(patsubst %,$(O)/%.o,$(basename $(BENCH_SRC)))
BENCH        := $(O)/guest/bench.elf

# One file of assembly each: exits, known numbers of exits, for tests/compare_cmd_model.c; peek looks
# at what ring 3 must not see; smp starts the other processors; shootdown, one of them changes page
# tables that another uses; ticket, a lock that all fight for; upcall, two that the monitor tells
# about each other.
SMALL        := $(patsubst %,$(O)/guest/%.elf,exits peek smp shootdown ticket upcall)

# tests/hostile: one file, one image.
HOSTILE_SRC  := $(sort $(wildcard tests/hostile/*.S))
HOSTILE      := $(patsubst tests/hostile/%.S,$(O)/guest/hostile-%.elf,$(HOSTILE_SRC))

guests: $(MINIOS) $(MINIOS_AR) $(CONFORM) $(BENCH) $(SMALL) $(HOSTILE)

$(patsubst %.c,$(O)/%.o,$(filter %.c,$(MINIOS_SRC) $(RUNTIME_SRC) $(CONFORM_SRC) $(BENCH_SRC) $(MINIOS_USRC))): $(O)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(GUEST_CFLAGS) -MMD -MP -c -o $@ $<
$(patsubst %.S,$(O)/%.o,$(filter %.S,$(MINIOS_SRC) $(CONFORM_SRC) $(BENCH_SRC) $(MINIOS_USRC))): $(O)/%.o: %.S
	@mkdir -p $(@D)
	$(CC) $(GUEST_ARCH) -g -MMD -MP -c -o $@ $<

$(MINIOS): $(MINIOS_OBJ) guest/minios/kernel.ld
	@mkdir -p $(@D)
	$(CC) $(GUEST_LINK) -Wl,-T,guest/minios/kernel.ld -o $@ $(MINIOS_OBJ)

$(MINIOS_UTHREAD): $(addprefix $(O)/guest/minios/user/,uthread.o uthread_switch.o)
	@rm -f $@
	ar rcSD $@ $^
	ranlib -D $@
$(MINIOS_PROGS): %.elf: %.o $(MINIOS_LIB) $(MINIOS_UTHREAD) guest/minios/user/user.ld
	$(CC) $(GUEST_LINK) -Wl,-T,guest/minios/user/user.ld -o $@ $< $(MINIOS_LIB) $(MINIOS_UTHREAD)
$(MINIOS_AR): $(MINIOS_PROGS)
	@rm -f $@
	ar rcSD $@ $^

$(RUNTIME): $(RUNTIME_OBJ)
	@rm -f $@
	ar rcSD $@ $^
	ranlib -D $@

$(CONFORM): $(CONFORM_OBJ) $(RUNTIME) guest/conform/kernel.ld
	@mkdir -p $(@D)
	$(CC) $(GUEST_LINK) -Wl,-T,guest/conform/kernel.ld -o $@ $(CONFORM_OBJ) $(RUNTIME)

$(BENCH): $(BENCH_OBJ) $(RUNTIME) guest/bench/kernel.ld
	@mkdir -p $(@D)
	$(CC) $(GUEST_LINK) -Wl,-T,guest/bench/kernel.ld -o $@ $(BENCH_OBJ) $(RUNTIME)

$(SMALL): $(O)/guest/%.elf: guest/%/start.S
	@mkdir -p $(@D)
	$(CC) $(GUEST_ARCH) -MMD -MP -MF $(@:.elf=.d) -MT $@ $(GUEST_LINK) -Wl,-Ttext=0x101000 -o $@ $<

# -I.: the images that attack the world include its share.h for the addresses.
$(HOSTILE): $(O)/guest/hostile-%.elf: tests/hostile/%.S tests/hostile/hostile.ld
	@mkdir -p $(@D)
	$(CC) $(GUEST_ARCH) -I. -MMD -MP -MF $(@:.elf=.d) -MT $@ $(GUEST_LINK) \
	      -Wl,-T,tests/hostile/hostile.ld -o $@ $<

-include $(MINIOS_OBJ:.o=.d) $(MINIOS_PROGS:.elf=.d) $(O)/guest/minios/user/user.d $(O)/guest/minios/user/uthread.d $(RUNTIME_OBJ:.o=.d) $(CONFORM_OBJ:.o=.d) $(BENCH_OBJ:.o=.d) $(SMALL:.elf=.d) $(HOSTILE:.elf=.d)
