<<<<<<<< HEAD:api/ui/dist/assets/use-callback-ref-AT0ahXi8.js
import{ft as e,lt as t}from"./url-BFnAei2J.js";var n=e(t(),1);function r(e){let t=(0,n.useRef)(e);return(0,n.useEffect)(()=>{t.current=e}),(0,n.useMemo)(()=>((...e)=>t.current?.(...e)),[])}export{r as t};
========
import{dt as e,mt as t}from"./url-CzQ4bp0P.js";var n=t(e(),1);function r(e){let t=(0,n.useRef)(e);return(0,n.useEffect)(()=>{t.current=e}),(0,n.useMemo)(()=>((...e)=>t.current?.(...e)),[])}export{r as t};
>>>>>>>> aa6c895 (incidents: the page, the card on the first screen, merging):api/ui/dist/assets/use-callback-ref-Da4UOe6i.js
