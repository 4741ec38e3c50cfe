# guest/causes: each cause of an exit of hardware a known number of times.
CAUSES := $(O)/guest/causes.elf

guests: $(CAUSES)

$(CAUSES): guest/causes/start.S
	@mkdir -p $(@D)
	$(CC) $(GUEST_ARCH) $(GUEST_LINK) -Wl,-Ttext=0x101000 -o $@ $<
