# guest/peek: looks at what ring 3 must not see: flags, machine status word, tables, selectors.
PEEK := $(O)/guest/peek.elf

guests: $(PEEK)

$(PEEK): guest/peek/start.S
	@mkdir -p $(@D)
	$(CC) $(GUEST_ARCH) $(GUEST_LINK) -Wl,-Ttext=0x101000 -o $@ $<
