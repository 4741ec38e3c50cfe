# guest/shootdown: one processor changes page tables that another uses.
SHOOTDOWN := $(O)/guest/shootdown.elf

guests: $(SHOOTDOWN)

$(SHOOTDOWN): guest/shootdown/start.S
	@mkdir -p $(@D)
	$(CC) $(GUEST_ARCH) $(GUEST_LINK) -Wl,-Ttext=0x101000 -o $@ $<
