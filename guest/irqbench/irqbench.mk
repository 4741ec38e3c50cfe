# guest/irqbench: how long interrupts take; bench/irq.c compares with QEMU.
IRQBENCH_SRC := $(sort $(wildcard guest/irqbench/*.c guest/irqbench/*.S))
IRQBENCH_OBJ := $(patsubst %,$(O)/%.o,$(basename $(IRQBENCH_SRC)))
IRQBENCH     := $(O)/guest/irqbench.elf

guests: $(IRQBENCH)

$(patsubst %.c,$(O)/%.o,$(filter %.c,$(IRQBENCH_SRC))): $(O)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(GUEST_CFLAGS) -MMD -MP -c -o $@ $<
$(patsubst %.S,$(O)/%.o,$(filter %.S,$(IRQBENCH_SRC))): $(O)/%.o: %.S
	@mkdir -p $(@D)
	$(CC) $(GUEST_ARCH) -g -MMD -MP -c -o $@ $<
$(IRQBENCH): $(IRQBENCH_OBJ) $(RUNTIME) guest/minios/kernel.ld
	@mkdir -p $(@D)
	$(CC) $(GUEST_LINK) -Wl,-T,guest/minios/kernel.ld -o $@ $(IRQBENCH_OBJ) $(RUNTIME)

-include $(IRQBENCH_OBJ:.o=.d)
