# guest/exits: known numbers of exits, for tests/compare_cmd_model.c.
EXITS := $(O)/guest/exits.elf

guests: $(EXITS)

$(EXITS): guest/exits/start.S
	@mkdir -p $(@D)
	$(CC) $(GUEST_ARCH) $(GUEST_LINK) -Wl,-Ttext=0x101000 -o $@ $<
