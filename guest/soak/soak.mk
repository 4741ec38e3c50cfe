# guest/soak: interrupts of every kind on four processors at once; tests/soak/ drives it.
SOAK_GUEST_SRC := $(sort $(wildcard guest/soak/*.c guest/soak/*.S))
SOAK_GUEST_OBJ := $(patsubst %,$(O)/%.o,$(basename $(SOAK_GUEST_SRC)))
SOAK_GUEST     := $(O)/guest/soak.elf

guests: $(SOAK_GUEST)

$(patsubst %.c,$(O)/%.o,$(filter %.c,$(SOAK_GUEST_SRC))): $(O)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(GUEST_CFLAGS) -MMD -MP -c -o $@ $<
$(patsubst %.S,$(O)/%.o,$(filter %.S,$(SOAK_GUEST_SRC))): $(O)/%.o: %.S
	@mkdir -p $(@D)
	$(CC) $(GUEST_ARCH) -g -MMD -MP -c -o $@ $<

$(SOAK_GUEST): $(SOAK_GUEST_OBJ) $(RUNTIME) guest/soak/kernel.ld
	@mkdir -p $(@D)
	$(CC) $(GUEST_LINK) -Wl,-T,guest/soak/kernel.ld -o $@ $(SOAK_GUEST_OBJ) $(RUNTIME)

-include $(SOAK_GUEST_OBJ:.o=.d)
