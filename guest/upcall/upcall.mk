# guest/upcall: two processors that the monitor tells about each other.
UPCALL := $(O)/guest/upcall.elf

guests: $(UPCALL)

$(UPCALL): guest/upcall/start.S
	@mkdir -p $(@D)
	$(CC) $(GUEST_ARCH) $(GUEST_LINK) -Wl,-Ttext=0x101000 -o $@ $<
