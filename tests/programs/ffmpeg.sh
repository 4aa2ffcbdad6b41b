# Encodes and decodes generated pictures and sound with several codecs and threads; the checksum of
# every frame is compared.
packages=(ffmpeg)
commands=(ffmpeg ffprobe)
loaded=(ffmpeg ffprobe)

convert() { under ffmpeg -hide_banner -loglevel error -nostdin -y -fflags +bitexact "$@"; }

work() {
    local codec
    for codec in libx264 mpeg4 libvpx mjpeg ffv1; do
        convert -f lavfi -i testsrc2=size=640x360:rate=25:duration=3 -f lavfi -i sine=440:duration=3 \
            -pix_fmt "$([ $codec = mjpeg ] && echo yuvj420p || echo yuv420p)" -threads 2 -c:v "$codec" \
            $([ $codec = mjpeg ] && echo -q:v 5 || echo -b:v 800k) -c:a "$([ $codec = libvpx ] && echo libvorbis || echo aac)" -flags +bitexact "$codec.mkv"
        convert -i "$codec.mkv" -map 0:v -threads 2 -f framemd5 "$results/$codec"
        convert -i "$codec.mkv" -map 0:a -f framemd5 "$results/$codec.sound"
    done
    convert -i libx264.mkv -filter_complex 'scale=320:-2,split[a][b];[a]hflip,boxblur=3[c];[b][c]hstack,drawbox=c=red,rotate=0.2,fps=10' \
        -threads 2 -f framemd5 "$results/filters"
    convert -i libx264.mkv -c copy -f segment -segment_time 1 part%d.mp4
    under ffprobe -loglevel error -show_streams -show_packets -of json libx264.mkv | sed '/filename/d' >"$results/probe"
}
