# The R kernel: evaluates code in the global environment. relay_kernel.py describes the messages.

local({
  paths <- commandArgs(trailingOnly = TRUE)
  requests <- file(paths[1], "rb", raw = TRUE)
  replies <- file(paths[2], "wb", raw = TRUE)
  count <- 0L

  read_number <- function() readBin(requests, "integer", 1L, size = 4L, endian = "big")

  # A pipe gives as much as it has, which may be a part.
  read_bytes <- function(size) {
    bytes <- raw(0)
    while (length(bytes) < size) {
      more <- readBin(requests, "raw", size - length(bytes))
      if (length(more) == 0L) quit("no")
      bytes <- c(bytes, more)
    }
    bytes
  }

  read_text <- function() {
    text <- rawToChar(read_bytes(read_number()))
    Encoding(text) <- "UTF-8"
    text
  }

  receive <- function() {
    size <- read_number()
    if (length(size) == 0L) quit("no")
    vapply(seq_len(size), function(each) read_text(), "")
  }

  # An interrupt within a message would leave half of it in the pipe.
  send <- function(...) suspendInterrupts({
    writeBin(length(list(...)), replies, size = 4L, endian = "big")
    for (text in list(...)) {
      bytes <- charToRaw(enc2utf8(text))
      writeBin(length(bytes), replies, size = 4L, endian = "big")
      writeBin(bytes, replies)
    }
    flush(replies)
  })

  show_value <- function(value, main) {
    text <- paste(utils::capture.output(print(value)), collapse = "\n")
    suspendInterrupts({
      send("result", "text/plain", text, if (main) "1" else "0")
      receive()
    })
  }

  parsing <- quote(parse(text = code, keep.source = FALSE, encoding = "UTF-8"))
  evaluating <- quote(eval(expressions[[index]], globalenv()))

  evaluate <- function(code) {
    expressions <- eval(parsing)
    for (index in seq_along(expressions)) {
      outcome <- withVisible(eval(evaluating))
      if (outcome$visible) show_value(outcome$value, index == length(expressions))
    }
  }

  describe <- function(problem) {
    name <- class(problem)[1L]
    if (name == "simpleError") name <- "Error"
    message <- conditionMessage(problem)
    call <- conditionCall(problem)
    # The code of a caller is not to be looked for in that of the kernel.
    named <- !is.null(call) && !identical(call, parsing) && !identical(call, evaluating)
    place <- if (named) paste0(" in ", deparse(call, nlines = 1L)[1L]) else ""
    send("error", name, message, paste0("Error", place, ": ", message))
  }

  run <- function(request) {
    count <<- count + 1L
    variables <- request[-1L]
    if (length(variables) > 0L) {
      values <- as.list(variables[c(FALSE, TRUE)])
      do.call(Sys.setenv, stats::setNames(values, variables[c(TRUE, FALSE)]))
    }
    # An interrupt that has come after the end of the last code was for that.
    tryCatch(allowInterrupts(NULL), interrupt = function(...) NULL)
    ended <- tryCatch(
      {
        allowInterrupts(evaluate(request[1L]))
        c("0", "0")
      },
      error = function(problem) {
        describe(problem)
        c("1", "0")
      },
      interrupt = function(...) {
        send("error", "Interrupted", "the code was interrupted", "")
        c("1", "1")
      }
    )
    send("done", as.character(count), ended[1L], ended[2L])
  }

  options(warn = 1L, device = function(...) grDevices::pdf(NULL))
  send("ready")
  suspendInterrupts(repeat run(receive()))
})
