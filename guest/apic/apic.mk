# guest/apic: interrupt controllers, timers and when interrupts are taken; tests/apic.c compares.
# The way a case runs and prints its line is conform's: its objects, as a library.
APIC_SRC   := $(sort $(wildcard guest/apic/*.c guest/apic/*.S))
APIC_OBJ   := $(patsubst %,$(O)/%.o,$(basename $(APIC_SRC)))
APIC_LIB   := $(O)/guest/apic/conform.a
APIC_IMAGE := $(O)/guest/apic.elf

guests: $(APIC_IMAGE)

$(patsubst %.c,$(O)/%.o,$(filter %.c,$(APIC_SRC))): $(O)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(GUEST_CFLAGS) -MMD -MP -c -o $@ $<
$(patsubst %.S,$(O)/%.o,$(filter %.S,$(APIC_SRC))): $(O)/%.o: %.S
	@mkdir -p $(@D)
	$(CC) $(GUEST_ARCH) -g -MMD -MP -c -o $@ $<

$(APIC_LIB): $(filter-out $(O)/guest/conform/main.o,$(CONFORM_OBJ))
	@mkdir -p $(@D)
	@rm -f $@
	ar rcSD $@ $^
	ranlib -D $@

$(APIC_IMAGE): $(APIC_OBJ) $(APIC_LIB) $(RUNTIME) guest/conform/kernel.ld
	@mkdir -p $(@D)
	$(CC) $(GUEST_LINK) -Wl,-T,guest/conform/kernel.ld -o $@ $(APIC_OBJ) $(APIC_LIB) $(RUNTIME)

-include $(APIC_OBJ:.o=.d)
