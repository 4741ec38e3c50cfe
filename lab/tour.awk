# The guided comments of the sources in reading order, each with the code that it is about.
# A stop is a comment "/*: NUMBER. TITLE", its lines, and what follows it: up to the end of a
# function, at most 16 lines.  Numbers only order; they need not follow each other.

FNR == 1 { left = 0; inside = 0 }

/^\/\*: [0-9]+\. / {
	n = $2 + 0
	while (n in title)
		n += 0.01
	title[n] = $0
	sub(/^\/\*: [0-9]+\. /, "", title[n])
	inside = 1
	next
}

inside && /\*\/[ \t]*$/ {
	inside = 0
	left = 16
	at[n] = FILENAME ":" FNR + 1
	order[stops++] = n
	next
}

inside {
	sub(/^ \* ?/, "")
	text[n] = text[n] $0 "\n"
	next
}

left {
	line = $0
	gsub(/\t/, "    ", line)
	code[n] = code[n] "    " line "\n"
	left = line == "}" || line == "};" ? 0 : left - 1
	if (!left && line !~ /^};?$/)
		code[n] = code[n] "    ...\n"
}

END {
	for (i = 1; i < stops; i++) {
		x = order[i]
		for (j = i; j && order[j - 1] > x; j--)
			order[j] = order[j - 1]
		order[j] = x
	}
	for (i = 0; i < stops; i++) {
		n = order[i]
		printf "\n== %d. %s (%s)\n\n%s\n%s", i + 1, title[n], at[n], text[n], code[n]
	}
}
